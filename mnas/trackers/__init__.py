"""Trackers that ship: instances of the contract in `mnas.experiment.tracking`.

    mnas search digits --track wandb mlflow

wandb    Weights & Biases (`pip install 'mnas[wandb]'`)
mlflow   MLflow (`pip install 'mnas[mlflow]'`)

Each imports its library, so that importing this package needs neither. Imports `experiment` and
`loop`.
"""
