"""Networks: fast operations (`ops`), blocks (`blocks`) and whole networks (`network`) in Flax."""
