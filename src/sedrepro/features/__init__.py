"""From clips to feature stores: decode, fit the length, encode, write in table order."""
