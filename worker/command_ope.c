// SPDX-License-Identifier: Apache-2.0
// millrace ope: what another policy would have earned, from a log with propensities.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/command.h"
#include "worker/mapped.h"
#include "worker/ope/lists.h"
#include "worker/ope/ope.h"

static const mr_option rows[] = {
    {"policy", "POLICY", "uniform (default), frequencies or most-frequent; the last two with --of"},
    {"of", "FILE", "the log that shows what the policy does"},
    {"slates", "K",
     "judges whole lists by their first K entries, not each entry alone: an entry's propensity is "
     "that of its item given the items above"},
    {"model", "WHICH", "reward model: earlier rounds only (prequential, default), or in-sample"},
    {"reward", "KIND", "the events that reward: click (default), cart or purchase"},
    {"join", "SECONDS", "a reward comes within so many seconds after its impression (3600)"},
    {"lambda", "LIST", "levels to clip, switch and shrink at (1,2,5,10,50)"},
    {"resamples", "N", "of the bootstrap over users (1000); 0: none"},
    {"level", "SHARE", "of the intervals (0.95)"},
    {"seed", "N", "of the bootstrap (1)"},
    {"insist", NULL, "prints estimates, too, that the weights cannot carry"},
    {"as", "NAME", "the files have the mapping of topics.NAME of the configuration"},
    {"out", "DIR", "leaves the numbers in DIR/ope.json too, for millrace report"},
    {"mapping", "FILE",
     "the files are foreign logs, CSV or JSON lines, read as FILE.yaml says, or one of ours "
     "such as otto (millrace schema --mappings)"},
    {"json", NULL, "prints one JSON object instead of a table"},
    {0},
};

static int refuse(const char *text)
{
    return mr_command_fail("ope", text, MR_EXIT_USAGE);
}

static bool take_lambdas(const char *text, mr_ope_options *ope)
{
    const uint32_t most = sizeof ope->lambdas / sizeof *ope->lambdas;
    for (const char *at = text; *at != '\0';) {
        char *end;
        const double x = strtod(at, &end);
        if (end == at || !(x > 0.0 && x <= 1e12) || ope->lambda_count == most ||
            (*end != ',' && *end != '\0'))
            return false;
        ope->lambdas[ope->lambda_count++] = x;
        at = *end == ',' ? end + 1 : end;
    }
    return ope->lambda_count > 0;
}

static const char *take_policy(const mr_options *options, mr_ope_options *ope)
{
    static const char *const names[] = {"uniform", "frequencies", "most-frequent"};
    const char *const name = mr_options_get(options, "policy");
    ope->policy_path = mr_options_get(options, "of");
    ope->policy = MR_OPE_UNIFORM;
    for (uint32_t i = 0; name != NULL && i <= 3; i++) {
        if (i == 3)
            return "--policy: want uniform, frequencies or most-frequent";
        if (strcmp(name, names[i]) == 0) {
            ope->policy = (mr_ope_policy)i;
            break;
        }
    }
    if ((ope->policy == MR_OPE_UNIFORM) != (ope->policy_path == NULL))
        return ope->policy == MR_OPE_UNIFORM ? "--of is of --policy frequencies or most-frequent"
                                             : "--policy: say by --of FILE whose policy it is";
    return NULL;
}

// What is wrong with the options, or NULL.
static const char *take_options(const mr_options *options, mr_ope_options *ope)
{
    double join = 3600, resamples = 1000, seed = 1, slates = 0;
    const char *const model = mr_options_get(options, "model");
    const char *const reward = mr_options_get(options, "reward");
    const char *const lambdas = mr_options_get(options, "lambda");
    if (model != NULL && strcmp(model, "in-sample") != 0 && strcmp(model, "prequential") != 0)
        return "--model: want prequential or in-sample";
    ope->in_sample = model != NULL && strcmp(model, "in-sample") == 0;
    ope->log.reward = reward != NULL ? mr_event_kind_of(mr_bytes_text(reward)) : MR_EVENT_CLICK;
    if (ope->log.reward != MR_EVENT_CLICK && ope->log.reward != MR_EVENT_CART &&
        ope->log.reward != MR_EVENT_PURCHASE)
        return "--reward: want click, cart or purchase";
    if (!take_lambdas(lambdas != NULL ? lambdas : "1,2,5,10,50", ope))
        return "--lambda: want up to eight numbers above 0, with commas between";
    if (!mr_options_number(options, "join", 0, 1e8, &join))
        return "--join: want seconds from 0 on";
    if (!mr_options_number(options, "resamples", 0, 100000, &resamples))
        return "--resamples: want a number from 0 to 100000";
    if (!mr_options_number(options, "level", 0.5, 0.9999, &ope->level))
        return "--level: want a share from 0.5 to 0.9999";
    if (!mr_options_number(options, "seed", 0, 9e15, &seed))
        return "--seed: want a number from 0 on";
    if (!mr_options_number(options, "slates", 1, MR_LIST_TOP_MAX, &slates) ||
        slates != (double)(uint32_t)slates)
        return "--slates: want how many entries of a list count, from 1 to 64";
    ope->slates = (uint32_t)slates;
    ope->log.window_ms = (int64_t)(join * 1000.0);
    ope->resamples = (uint32_t)resamples;
    ope->seed = (uint64_t)seed;
    ope->insist = mr_options_get(options, "insist") != NULL;
    const char *const wrong = take_policy(options, ope);
    if (wrong == NULL && ope->slates > 0 && ope->policy == MR_OPE_MOST_FREQUENT)
        return "--slates: a policy that shows one item at a position has no list in a log; want "
               "--policy uniform or frequencies";
    return wrong;
}

static mr_status leave(const json_t *object, const char *folder, mr_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/ope.json", folder);
    errno = 0;
    if (json_dump_file(object, path, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0)
        return MR_OK;
    return mr_fail(err, MR_FATAL, "%s: %s", path, errno != 0 ? strerror(errno) : "not written");
}

static int print(const mr_options *options, const mr_ope_options *ope, const mr_ope_result *result)
{
    mr_error err = {0};
    const char *const out = mr_options_get(options, "out");
    json_t *object = mr_ope_json(ope, result);
    if (object == NULL)
        return mr_command_fail("ope", "out of memory", MR_EXIT_FAILED);
    const mr_status status = out != NULL ? leave(object, out, &err) : MR_OK;
    if (mr_options_get(options, "json") != NULL) {
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else {
        mr_ope_print(ope, result, stdout);
    }
    json_decref(object);
    return status == MR_OK ? MR_EXIT_GOOD : mr_command_fail("ope", err.text, MR_EXIT_FAILED);
}

static int judge(const mr_options *options, const mr_config *config, mr_ope_options *ope)
{
    mr_error err = {0};
    mr_mapped mapped = {0};
    const char *const as = mr_options_get(options, "as");
    mr_ope_result *result = malloc(sizeof *result);
    mr_status status = result != NULL ? MR_OK : mr_fail(&err, MR_FATAL, "out of memory");
    if (status == MR_OK && as != NULL) {
        status = mr_mapped_named(config, as, &mapped, &err);
        ope->log.mapping = &mapped.mapping;
    }
    if (status == MR_OK)
        status = mr_ope_run(ope, result, &err);
    const int exit_status = status == MR_OK ? print(options, ope, result)
                                            : mr_command_fail("ope", err.text, MR_EXIT_FAILED);
    free(result);
    return exit_status;
}

int mr_command_ope(int argc, char **argv)
{
    mr_options options = {
        .command = "ope",
        .operands = "LOG",
        .summary =
            "Says what another policy would have earned, from a log of impressions with "
            "propensities and of\nthe clicks that they got. Where the log cannot carry an answer "
            "it says why, and gives none.",
        .rows = rows,
        .configured = true,
        .operands_min = 1,
        .operands_max = 1,
    };
    mr_config *config;
    int exit_status;
    mr_ope_options ope = {.level = 0.95};
    if (!mr_options_parse(&options, argc, argv, &exit_status))
        return exit_status;
    const char *const wrong = take_options(&options, &ope);
    if (wrong != NULL)
        return refuse(wrong);
    if (!mr_options_load(&options, &config))
        return MR_EXIT_USAGE;
    ope.log.path = argv[options.operand_first];
    ope.log.format = options.format;
    exit_status = judge(&options, config, &ope);
    mr_options_unload(&options, config);
    return exit_status;
}
