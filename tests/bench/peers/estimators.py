#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Open Bandit Pipeline's estimates of one policy on one log: prints a JSON object.
usage: estimators.py LOG POLICY_LOG LAMBDA...

Policy and reward model are those of `millrace ope --policy frequencies --model in-sample`: how often
POLICY_LOG shows each item at each position; (clicks + 1) / (rounds + 100) of each item at each position."""
import csv
import gzip
import json
import sys
import types

import numpy as np


class Anything(types.ModuleType):
    """Open Bandit Pipeline imports torch for learning policies; its estimators never touch it."""
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (object,), {})


def without_torch():
    for name in ("torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils", "torch.utils.data"):
        sys.modules[name] = Anything(name)
        if "." in name:  # as import does it
            parent, child = name.rsplit(".", 1)
            setattr(sys.modules[parent], child, sys.modules[name])


def read(path):
    """item, position from 0, propensity and reward of each impression, in the order of the log."""
    rounds, of_session = [], {}
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["type"] == "impression":
                of_session[row["session"]] = len(rounds)
                rounds.append([int(row["item"]), int(row["position"]) - 1, float(row["propensity"]), 0.0])
            elif row["type"] == "click":
                rounds[of_session[row["session"]]][3] = 1.0
    table = np.array(rounds)
    return table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3]


def main():
    without_torch()
    from obp import ope
    item, position, propensity, reward = read(sys.argv[1])
    of_item, of_position = read(sys.argv[2])[:2]
    items, places = max(item.max(), of_item.max()) + 1, position.max() + 1
    shown, rounds, clicks = (np.zeros((items, places)) for _ in range(3))
    np.add.at(shown, (of_item, of_position), 1)
    np.add.at(rounds, (item, position), 1)
    np.add.at(clicks, (item, position), reward)
    policy = np.repeat((shown / shown.sum(0))[None], len(item), 0)
    rewards = np.repeat(((clicks + 1) / (rounds + 100))[None], len(item), 0)
    log = {"reward": reward, "action": item, "position": position, "pscore": propensity, "action_dist": policy}
    model = {"estimated_rewards_by_reg_model": rewards}
    values = {"ips": ope.InverseProbabilityWeighting().estimate_policy_value(**log),
              "snips": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**log),
              "dm": ope.DirectMethod().estimate_policy_value(position=position, action_dist=policy, **model),
              "dr": ope.DoublyRobust().estimate_policy_value(**log, **model),
              "sndr": ope.SelfNormalizedDoublyRobust().estimate_policy_value(**log, **model)}
    for level in map(float, sys.argv[3:]):
        switch = ope.SwitchDoublyRobust(tau=level).estimate_policy_value(**log, **model)
        values[f"switch_dr {level:g}"] = switch
        shrunk = ope.DoublyRobustWithShrinkage(lambda_=level).estimate_policy_value(**log, **model)
        values[f"dr_shrunk {level:g}"] = shrunk
    json.dump({name: float(value) for name, value in values.items()}, sys.stdout)


if __name__ == "__main__":
    main()
