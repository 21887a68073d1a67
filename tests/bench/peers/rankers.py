# SPDX-License-Identifier: Apache-2.0
"""The peers as rankers of one stream. Each has learn(t, user, item, negatives) and scores(user, count): the
scores of the first `count` items, those that were seen so far. Factors are copied out of a package into
one matrix after each step, so that ranking the whole catalogue is one product and costs no package more than
another; `mirror` is off where only learning is timed."""
import numpy as np

DIM = 64


class Recency:
    """Counts with a half-life of 200 events: what a recommender on news has to beat."""
    says = "recency count, half-life 200 events"

    def __init__(self, users, items, events, mirror):
        self.counts, self.growth, self.weight = np.zeros(items), 2.0 ** (1 / 200), 1.0

    def learn(self, t, user, item, negatives):
        self.weight *= self.growth
        self.counts[item] += self.weight
        if self.weight > 1e100:
            self.counts /= self.weight
            self.weight = 1.0

    def scores(self, user, count):
        return self.counts[:count]


class Factors:
    def __init__(self, users, items, mirror):
        self.mirror = mirror
        self.of_items = np.zeros((items, DIM), np.float32)
        self.biases = np.zeros(items, np.float32)
        self.of_users = np.zeros((users, DIM), np.float32)

    def scores(self, user, count):
        return self.of_items[:count] @ self.of_users[user] + self.biases[:count]


class River(Factors):
    says = "River BiasedMF, log loss, 1 + 4, d 64"

    def __init__(self, users, items, events, mirror, rate=0.3, sigma=0.02):
        from river import optim, reco
        super().__init__(users, items, mirror)
        self.model = reco.BiasedMF(
            n_factors=DIM, bias_optimizer=optim.SGD(rate), latent_optimizer=optim.SGD(rate),
            loss=optim.losses.Log(), latent_initializer=optim.initializers.Normal(0, sigma, seed=1), seed=1)

    def learn(self, t, user, item, negatives):
        self.model.learn_one(user=user, item=item, y=1.0)
        for other in negatives:
            self.model.learn_one(user=user, item=int(other), y=0.0)
        if self.mirror:
            for each in (item, *negatives):
                self.of_items[each] = self.model.i_latents[each]
                self.biases[each] = self.model.i_biases[each]
            self.of_users[user] = self.model.u_latents[user]


class VowpalWabbit(Factors):
    says = "Vowpal Wabbit --rank 64, logistic, 1 + 4"

    def __init__(self, users, items, events, mirror, rate=0.5):
        from vowpalwabbit import Workspace
        super().__init__(users, items, mirror)
        bits = (16 * (users + items)).bit_length()  # few users and items share a row
        self.vw = Workspace(f"--quiet --rank {DIM} -q ui --loss_function logistic --noconstant -b {bits} "
                            f"--learning_rate {rate} --power_t 0 --random_seed 1")
        self.spaces = self.vw.hash_space("u"), self.vw.hash_space("i")

    def weights(self, name, space, first):
        index = self.vw.hash_feature(name, self.spaces[space])
        return [self.vw.get_weight(index, k) for k in (0, *range(first, first + DIM))]

    def learn(self, t, user, item, negatives):
        self.vw.learn(f"1 |u u{user} |i i{item}")
        for other in negatives:
            self.vw.learn(f"-1 |u u{user} |i i{other}")
        if self.mirror:
            for each in (item, *negatives):
                row = self.weights(f"i{each}", 1, DIM + 1)
                self.biases[each], self.of_items[each] = row[0], row[1:]
            self.of_users[user] = self.weights(f"u{user}", 0, 1)[1:]


class Refitted:
    """Fitted anew every fortieth of the log on all of it; items that came since are ranked last."""
    def __init__(self, users, items, events, mirror):
        self.pairs, self.counts, self.every = [], {}, max(1, events // 40)
        self.users, self.items, self.fitted = users, items, 0
        self.model = None

    def learn(self, t, user, item, negatives):
        self.pairs.append((user, item))
        mine = self.counts.setdefault(user, {})
        mine[item] = mine.get(item, 0) + 1
        if (t + 1) % self.every == 0:
            self.fit()

    def matrix(self):
        import scipy.sparse as sparse
        pairs = np.array(self.pairs)
        self.fitted = int(pairs[:, 1].max()) + 1
        self.fitted_users = int(pairs[:, 0].max()) + 1
        return sparse.csr_matrix((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])))

    def rank_by(self, vector, count):
        known = min(count, self.fitted)
        scores = np.full(count, -np.inf, np.float32)
        scores[:known] = self.model.item_factors[:known] @ vector
        return scores


class Als(Refitted):
    says = "implicit ALS, d 64, refit 40 times, live fold-in"

    def fit(self):
        from implicit.cpu.als import AlternatingLeastSquares
        self.model = AlternatingLeastSquares(factors=DIM, iterations=10, num_threads=1, random_state=1)
        self.model.fit(self.matrix(), show_progress=False)

    def scores(self, user, count):
        import scipy.sparse as sparse
        mine = {i: n for i, n in self.counts.get(user, {}).items() if i < self.fitted}
        if self.model is None or not mine:
            return np.zeros(count, np.float32)
        row = sparse.csr_matrix((np.array(list(mine.values()), np.float32), np.array(list(mine)),
                                 np.array([0, len(mine)])), shape=(1, self.fitted))
        return self.rank_by(self.model.recalculate_user(0, row), count)


class Bpr(Refitted):
    says = "implicit BPR, d 64, refit 40 times"

    def fit(self):
        from implicit.cpu.bpr import BayesianPersonalizedRanking
        self.model = BayesianPersonalizedRanking(factors=DIM, iterations=50, num_threads=1, random_state=1)
        self.model.fit(self.matrix(), show_progress=False)

    def scores(self, user, count):
        if self.model is None or user >= self.fitted_users:
            return np.zeros(count, np.float32)
        return self.rank_by(self.model.user_factors[user], count)


class MabWiser:
    says = "MABWiser UCB1, batches of 1,024, 1 + 4"

    def __init__(self, users, items, events, mirror):
        from mabwiser.mab import MAB, LearningPolicy
        self.mab = MAB(arms=[0, 1], learning_policy=LearningPolicy.UCB1(alpha=0.1), seed=1)
        self.arms, self.decisions, self.rewards, self.begun = 2, [], [], False
        self.values = np.zeros(items)

    def learn(self, t, user, item, negatives):
        self.decisions += [item, *negatives]
        self.rewards += [1] + [0] * len(negatives)
        if (t + 1) % 1024 == 0:
            self.flush()

    def flush(self):
        for arm in range(self.arms, max(self.decisions) + 1):
            self.mab.add_arm(arm)
            self.arms = arm + 1
        (self.mab.partial_fit if self.begun else self.mab.fit)(self.decisions, self.rewards)
        self.begun, self.decisions, self.rewards = True, [], []
        for arm, value in self.mab.predict_expectations().items():
            self.values[arm] = value

    def scores(self, user, count):
        return self.values[:count]


PEERS = {"recency": Recency, "river": River, "vw": VowpalWabbit, "als": Als, "bpr": Bpr, "mabwiser": MabWiser}
