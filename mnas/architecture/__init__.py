"""Networks as plain data: description, cost, scaling, text forms and files.

In: settings, block strings, timm's `arch_def`, spec files, names of published networks.
Out: an `Architecture` (a frozen, hashable dataclass) and exact whole-number costs of it.

Nothing here builds a model. The package imports only `mnas.errors` and `mnas.files`, and no JAX, so
importing it is fast.

Modules, in the order in which data flows:

- `block`: `Block`, one stage, and `Layer`, one layer of a stage with its skip connection resolved;
- `block_fields`: grammar that block strings and timm's strings share;
- `block_strings`: a sequence of blocks ↔ TF block strings;
- `timm_strings`: one block ↔ one string of timm's `arch_def`;
- `architecture`: `Architecture`, a whole network; dictionaries for JSON; the canonical hash;
- `text_forms`: whole networks ↔ TF block strings and `arch_def`;
- `cost`: parameters and mult-adds, part by part;
- `signatures`: keys of blocks that share their compiled programs;
- `scaling`: compound scaling, one dimension alone, and EfficientNet's published table;
- `published`: EfficientNet, MnasNet, MobileNet and ResNet, also under timm's names;
- `spec`: spec files (`mnas-spec/1`);
- `timm_arguments`, `block_text`: whole networks as the arguments of timm's model, and as TF block
  strings in a text file;
- `sources`: the network that a SPEC of the command line names, with its origin;
- `network_table`: CSV tables of networks with known accuracy;
- `scaling_grid`: the points (α, β, γ) of the grid search for compound-scaling coefficients.
"""
