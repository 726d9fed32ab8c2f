"""Raw data: what there is, how it is fetched, verified and brought into clip tables."""
