"""Parts shared by the controllers: pure functions of JAX arrays, all of which may be jitted.

Input: a `Space`, decision vectors int32 [N, D], rewards float32 [N]. Output: distributions over
decision vectors, advantages, a regression model of the rewards, neighbours of a vector. Nothing in
here samples from a global random state or keeps state of its own.

Modules, in the order in which data flows through a controller:

    binding           functions of one controller + static arguments -> jitted `Controller`
    batch             arguments of `tell` -> validated arrays
    canonical         decision vectors -> canonical vectors and masks of active decisions
    policy            `Policy`: sampling, log-probabilities and entropies (factorized, LSTM)
    advantage         rewards -> advantages around a moving-average baseline
    policy_gradient   state, `init`, `ask` and `summary` common to REINFORCE and PPO
    gaussian_process  rewards -> posterior mean and posterior samples
    neighbourhood     a decision vector -> single changes, stage exchanges, stage copies
    incumbent         model -> best network; agreement with it
    mixture           uniform mixture of policies
    candidates        samples and neighbours -> candidates; their assignment to batch slots
    duplicates        candidates and evaluated vectors -> mask of duplicates

May import `mnas.controller`, `mnas.space`, `mnas.errors` and `mnas.loop.kernel`; never a
controller.
"""
