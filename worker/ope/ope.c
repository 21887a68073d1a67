// SPDX-License-Identifier: Apache-2.0
#include "worker/ope/ope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/ope/arms.h"
#include "worker/ope/lists.h"

typedef struct judge {
    const mr_ope_options *options;
    mr_ope_result *result;
    mr_arms arms;
    mr_offpolicy policy;
    void *memory; // of the estimators
    double shown_reward, shown;
    mr_list_rounds list, shown_list; // that are being gathered, where lists are judged whole
} judge;

static mr_status count_round(void *context, const mr_bandit_round *round, mr_error *err)
{
    judge *j = context;
    uint32_t arm;
    MR_TRY(mr_arms_at(&j->arms, round->item_key, round->position, &arm, err));
    mr_arms_show(&j->arms, arm, round->reward, round->propensity);
    return MR_OK;
}

static mr_status count_shown(void *context, const mr_bandit_round *round, mr_error *err)
{
    judge *j = context;
    uint32_t arm;
    MR_TRY(mr_arms_at(&j->arms, round->item_key, round->position, &arm, err));
    j->arms.arms[arm].shown += 1.0;
    j->arms.positions[j->arms.arms[arm].position].shown += 1.0;
    if (j->options->slates > 0)
        (void)mr_list_take(&j->shown_list, round);
    j->shown += 1.0;
    j->shown_reward += round->reward;
    return MR_OK;
}

static mr_status judge_round(void *context, const mr_bandit_round *round, mr_error *err)
{
    judge *j = context;
    uint32_t index;
    MR_TRY(mr_arms_at(&j->arms, round->item_key, round->position, &index, err));
    const mr_arm *arm = &j->arms.arms[index];
    const mr_arm_position *place = &j->arms.positions[arm->position];
    const mr_logged_round logged = {
        .weight = arm->chance / round->propensity,
        .reward = round->reward,
        .q = mr_arm_value(arm),
        .q_policy = place->q_policy,
        .match = arm->chance == 1.0,
        .cluster = round->cluster,
    };
    mr_offpolicy_add(&j->policy, &logged);
    mr_weights_add(&j->result->weights, logged.weight, round->reward, arm->chance,
                   place->unsupported);
    j->result->matches += logged.match;
    if (!j->options->in_sample) // test, then learn
        mr_arms_learn(&j->arms, index, round->reward);
    return MR_OK;
}

static mr_status judge_list(void *context, const mr_bandit_round *round, mr_error *err)
{
    judge *j = context;
    mr_list_weights w;
    if (!mr_list_take(&j->list, round))
        return MR_OK;
    double reward = 0.0;
    for (uint32_t i = 0; i < j->list.count;
         i++) { // known by now, unless the log has grown meanwhile
        uint32_t arm;
        MR_TRY(mr_arms_at(&j->arms, j->list.rounds[i].item_key, j->list.rounds[i].position, &arm,
                          err));
    }
    mr_list_weigh(&j->arms, j->list.rounds, j->list.count, &w);
    for (uint32_t i = 0; i < j->list.count; i++)
        reward += w.reward[i];
    mr_slate_add(&j->policy, &w.slate);
    mr_weights_add(&j->result->weights, w.whole, reward, w.chance, w.unsupported);
    for (uint32_t i = 0; i < j->list.count && !j->options->in_sample; i++)
        mr_arms_learn(&j->arms, w.arms[i], w.reward[i]);
    return MR_OK;
}

static bool is_bounded(mr_ope_estimator e)
{
    return e.kind == MR_OPE_IPS && isfinite(e.lambda);
}

static uint32_t list_estimators(const mr_ope_options *options, mr_ope_estimator *list)
{
    static const mr_ope_kind plain[] = {MR_OPE_IPS, MR_OPE_SNIPS, MR_OPE_DM,
                                        MR_OPE_DR,  MR_OPE_SNDR,  MR_OPE_REPLAY};
    static const mr_ope_kind tuned[] = {MR_OPE_IPS, MR_OPE_DR, MR_OPE_SWITCH_DR, MR_OPE_DR_OS};
    static const mr_ope_kind smooth[] = {MR_OPE_SG_IPS, MR_OPE_SG_DR};
    static const mr_ope_kind of_slates[] = {MR_OPE_SIPS, MR_OPE_SN_SIPS, MR_OPE_RIPS,
                                            MR_OPE_CASCADE_DR};
    uint32_t count = 0;
    for (uint32_t i = 0; options->slates > 0 && i < sizeof of_slates / sizeof *of_slates; i++)
        list[count++] = (mr_ope_estimator){of_slates[i], (double)INFINITY};
    if (options->slates > 0)
        return count;
    for (uint32_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (plain[i] != MR_OPE_REPLAY || options->policy == MR_OPE_MOST_FREQUENT)
            list[count++] = (mr_ope_estimator){plain[i], (double)INFINITY};
    }
    for (uint32_t i = 0; i < sizeof tuned / sizeof *tuned; i++) {
        for (uint32_t l = 0; l < options->lambda_count; l++)
            list[count++] = (mr_ope_estimator){tuned[i], options->lambdas[l]};
    }
    for (uint32_t i = 0; i < sizeof smooth / sizeof *smooth; i++)
        list[count++] = (mr_ope_estimator){smooth[i], 0.1};
    return count;
}

static mr_status open_estimators(judge *j, mr_error *err)
{
    mr_ope_estimator list[MR_OPE_ESTIMATORS_MAX];
    mr_arena arena;
    const uint32_t count = list_estimators(j->options, list);
    const size_t bytes = mr_offpolicy_bytes(count, j->options->resamples);
    j->memory = aligned_alloc(MR_ARENA_ALIGN, bytes);
    if (j->memory == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    mr_arena_init(&arena, j->memory, bytes);
    mr_offpolicy_init(&j->policy, list, count, j->options->resamples, j->options->seed, &arena);
    return MR_OK;
}

static mr_status choose_policy(judge *j, mr_error *err)
{
    const mr_ope_options *options = j->options;
    if (options->policy == MR_OPE_UNIFORM) {
        mr_arms_uniform(&j->arms);
        return MR_OK;
    }
    mr_rounds_options other = options->log;
    other.path = options->policy_path;
    MR_TRY(mr_rounds_read(&other, count_shown, j, &j->result->policy_log, err));
    if (j->shown == 0.0)
        return mr_fail(err, MR_FATAL,
                       "%.200s: no impression with a propensity: it says nothing about a policy",
                       options->policy_path);
    if (options->policy == MR_OPE_FREQUENCIES)
        mr_arms_frequencies(&j->arms);
    else
        mr_arms_most_frequent(&j->arms);
    return MR_OK;
}

// Among lambdas of one kind the least risk, of equals the smaller lambda.
static void choose_lambdas(mr_ope_result *result)
{
    for (uint32_t i = 0; i < result->row_count; i++) {
        mr_ope_row *row = &result->rows[i];
        row->chosen = isfinite(row->estimator.lambda) && row->estimator.kind != MR_OPE_SG_IPS &&
                      row->estimator.kind != MR_OPE_SG_DR;
        for (uint32_t k = 0; k < result->row_count && row->chosen; k++) {
            const mr_ope_row *other = &result->rows[k];
            if (k == i || other->estimator.kind != row->estimator.kind ||
                !isfinite(other->estimator.lambda))
                continue;
            row->chosen =
                row->risk < other->risk ||
                (row->risk == other->risk && row->estimator.lambda < other->estimator.lambda);
        }
    }
}

static mr_status conclude(judge *j, mr_error *err)
{
    mr_ope_result *result = j->result;
    const mr_ope_options *options = j->options;
    mr_sorted *scratch = malloc((options->resamples + 1) * sizeof *scratch);
    if (scratch == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    result->doubts = mr_weights_doubts(&result->weights);
    if (mr_calibration_is_off(&result->calibration))
        result->doubts |= MR_TRUST_UNCALIBRATED;
    if (mr_calibration_is_wrong(&result->calibration))
        result->doubts |= MR_TRUST_WRONG;
    const bool carried =
        (result->doubts & (MR_TRUST_FEW | MR_TRUST_UNSUPPORTED | MR_TRUST_WRONG)) == 0;
    for (uint32_t i = 0; i < j->policy.count; i++) {
        mr_ope_row *row = &result->rows[result->row_count++];
        const mr_ope_moments *m = &j->policy.sums[i].moments;
        row->estimator = j->policy.sums[i].estimator;
        row->value = mr_offpolicy_value(&j->policy, i);
        row->error = mr_offpolicy_error(&j->policy, i);
        row->taken = j->policy.sums[i].shift;
        row->risk = mr_offpolicy_risk(&j->policy, i);
        row->refused = !options->insist && !carried && mr_ope_weighs(row->estimator.kind);
        row->student = row->bootstrap = row->bernstein = (mr_interval){(double)NAN, (double)NAN};
        if (row->estimator.kind == MR_OPE_DM) // the spread of a model's answers is no interval
            continue;
        row->student = mr_offpolicy_student(&j->policy, i, options->level);
        row->bootstrap = mr_offpolicy_bootstrap(&j->policy, i, options->level, scratch);
        if (is_bounded(row->estimator))
            row->bernstein = mr_ope_bernstein(row->value, m->m2[0][0] / (m->n - 1.0), m->n,
                                              row->estimator.lambda, options->level);
    }
    choose_lambdas(result);
    free(scratch);
    return MR_OK;
}

static mr_status count_lists(judge *j, mr_error *err)
{
    mr_ope_result *result = j->result;
    result->lists = j->list.whole;
    result->broken = j->list.begun - j->list.whole;
    if (result->lists == 0)
        return mr_fail(err, MR_FATAL,
                       "%.200s: no impression has a propensity for each of its items",
                       j->options->log.path);
    result->logged = j->list.reward / (double)j->list.whole;
    return MR_OK;
}

static mr_status calibrate(judge *j, mr_error *err)
{
    mr_sorted *scratch = malloc((j->arms.count + 1) * sizeof *scratch);
    if (scratch == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    j->result->calibration = mr_calibration_of(&j->arms, j->options->slates > 0, scratch);
    free(scratch);
    return MR_OK;
}

static mr_status judge_log(judge *j, mr_error *err)
{
    const mr_ope_options *options = j->options;
    mr_ope_result *result = j->result;
    MR_TRY(mr_rounds_read(&options->log, count_round, j, &result->log, err));
    if (result->log.rounds == 0)
        return mr_fail(err, MR_FATAL,
                       "%.200s: no impression with a propensity among %llu events: nothing can be "
                       "weighed",
                       options->log.path, (unsigned long long)result->log.events);
    result->logged = (double)result->log.rewards / (double)result->log.rounds;
    MR_TRY(calibrate(j, err));
    MR_TRY(choose_policy(j, err));
    if (options->slates == 0 && j->shown > 0.0)
        result->policy_logged = j->shown_reward / j->shown;
    else if (j->shown_list.whole > 0)
        result->policy_logged = j->shown_list.reward / (double)j->shown_list.whole;
    mr_arms_settle(&j->arms); // what the log never shows is known before its rounds are forgotten
    if (!options->in_sample)
        mr_arms_forget(&j->arms);
    MR_TRY(open_estimators(j, err));
    mr_rounds_counts again;
    MR_TRY(mr_rounds_read(&options->log, options->slates > 0 ? judge_list : judge_round, j, &again,
                          err));
    if (options->slates > 0)
        MR_TRY(count_lists(j, err));
    MR_TRY(mr_arms_items(&j->arms, &result->items, err));
    result->positions = j->arms.position_count;
    return conclude(j, err);
}

mr_status mr_ope_run(const mr_ope_options *options, mr_ope_result *result, mr_error *err)
{
    judge j = {.options = options,
               .result = result,
               .list = {.top = options->slates},
               .shown_list = {.top = options->slates}};
    memset(result, 0, sizeof *result);
    result->policy_logged = (double)NAN;
    MR_TRY(mr_arms_open(&j.arms, err));
    const mr_status status = judge_log(&j, err);
    mr_arms_close(&j.arms);
    free(j.memory);
    return status;
}
