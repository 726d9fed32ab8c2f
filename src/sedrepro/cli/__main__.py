"""`python -m sedrepro.cli`: the `sedrepro` command where it is not installed."""

from . import main

raise SystemExit(main())
