"""Images: from a data set on disk to normalised batches on the device.

In: a `DataConfig` and a resolution R. Out: `Images`, subsets for training, validation and, if asked
for, test, whose images uint8 RGB [N, R, R, 3] are read when they are asked for, with labels int32
[N]; a `Feed` of a subset, which keeps its images on the device or streams them; and batches of a
feed, float32 [B, R, R, 3] with targets. Order and augmentation of a batch follow from seed, epoch
and step only, whichever the feed. The validation split is taken from the training set, never from
the test set, and depends on `split_seed` only. Each source tells in one line what it read and left
out, and a digest of its content. Missing, malformed or ambiguous data raise UsageError.

    source        contracts of a source and its splits, and the line that describes it
    pixels        one image file to 8-bit RGB; resizing
    memory        split: images of one array
    conversion    arrays of other forms to uint8 images and labels from 0
    archive       files of a folder or a tar archive, in memory
    idx_file      one idx file
    hub           names of Hugging Face data sets to tables
    digits        source: the embedded digits
    arrays        source: `.npz` files
    folders       source: folders of images
    cifar         source: CIFAR's binary archives
    idx           source: MNIST's idx files
    hugging_face  source: tables of the package `datasets`
    pack          source: packs, which are memory-mapped
    sources       name to source
    parts         images read part by part by parallel processes
    packing       any source to a pack
    inspection    sizes of images, and those that can't be read
    images        `DataConfig` to `Images`: splits, and subsets of them
    statistics    mean and standard deviation of the pixels
    streaming     order of batches; reading ahead by threads and processes
    feeds         images on the device, or streamed to it; the choice
    teacher       class probabilities of a teacher in place of labels
    augmentation  operations on a batch: crops, erasing, mixing
    randaugment   operations on single images
    batches       batches of an epoch, of calibration and evaluation; normalisation

May import `mnas.architecture`, `mnas.errors`, `mnas.files`, `mnas.runtime`. Only `feeds`,
`teacher`, `augmentation`, `randaugment` and `batches` import JAX.
"""
