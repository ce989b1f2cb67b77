"""Neural architecture search for MBConv networks, in the way that found EfficientNet-B0."""

__version__ = "0.1.0"
