"""Networks in Flax: fast operations (`ops`), blocks (`blocks`), whole networks (`network`).

Children of a search (`child`) are chains of compiled blocks (`programs`).
"""
