"""Images: from a data set on disk to normalised batches on the device.

In: a `DataConfig` and a resolution R. Out: `Images`, uint8 RGB [N, R, R, 3] with labels int32 [N]
in train, validation and test splits, and batches float32 [B, R, R, 3] of them. The validation
split is taken from the training set, never from the test set, and depends on `split_seed` only.
Missing or malformed data raise UsageError.

    images    sources ('digits', `.npz`, image folders), resizing, splits
    batches   images on the device; normalisation and augmentation, batches of an epoch

May import `mnas.architecture`, `mnas.errors`. `images` does not import JAX.
"""
