// SPDX-License-Identifier: Apache-2.0
#include "worker/demo_brokers.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "worker/kafka/client.h"

enum { FDS_MAX = 1024 };

struct mr_demo_brokers {
    rd_kafka_t *handle; // carries the cluster, does nothing else
    rd_kafka_mock_cluster_t *cluster;
};

// The mock logs what clients ask of it that it does not know; the clients say so themselves.
static void drop_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle, (void)level, (void)facility, (void)text;
}

// The mock's sockets hold small answers back until earlier ones are acknowledged (Nagle), which
// takes 40 ms: a commit of six requests would last 50 ms instead of 2. Nothing lets its owner say
// so, but what it accepts inherits the option from the socket that listens, and that one is ours to
// find: it is a descriptor of this process, bound to the port that the mock names.
static void answer_at_once(const char *address)
{
    const int one = 1;
    const char *const colon = strrchr(address, ':');
    const long port = colon != NULL ? strtol(colon + 1, NULL, 10) : -1;
    for (int fd = 3; fd < FDS_MAX; fd++) {
        struct sockaddr_in name = {0};
        int listens = 0;
        socklen_t name_size = sizeof name, listens_size = sizeof listens;
        if (getsockname(fd, (struct sockaddr *)&name, &name_size) == 0 &&
            name.sin_family == AF_INET && ntohs(name.sin_port) == port &&
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && listens)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
}

mr_status mr_demo_brokers_open(mr_demo_brokers **out, mr_error *err)
{
    char reason[200];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    mr_demo_brokers *brokers = calloc(1, sizeof *brokers);
    if (brokers == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_fail(err, MR_FATAL, "out of memory");
    }
    rd_kafka_conf_set_log_cb(conf, drop_log);
    brokers->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (brokers->handle == NULL) {
        rd_kafka_conf_destroy(conf);
        free(brokers);
        return mr_fail(err, MR_FATAL, "mock brokers: %s", reason);
    }
    brokers->cluster = rd_kafka_mock_cluster_new(brokers->handle, 1);
    if (brokers->cluster == NULL) {
        mr_demo_brokers_close(brokers);
        return mr_fail(err, MR_FATAL, "mock brokers: no port of this machine could be opened");
    }
    answer_at_once(mr_demo_brokers_address(brokers));
    *out = brokers;
    return MR_OK;
}

void mr_demo_brokers_close(mr_demo_brokers *brokers)
{
    if (brokers == NULL)
        return;
    if (brokers->cluster != NULL)
        rd_kafka_mock_cluster_destroy(brokers->cluster);
    rd_kafka_destroy(brokers->handle);
    free(brokers);
}

const char *mr_demo_brokers_address(const mr_demo_brokers *brokers)
{
    return rd_kafka_mock_cluster_bootstraps(brokers->cluster);
}

mr_status mr_demo_brokers_topics(mr_demo_brokers *brokers, const mr_config *config,
                                 uint32_t partition_count, mr_error *err)
{
    for (uint32_t i = 0; i < config->input_count + MR_TOPIC_COUNT; i++) {
        const char *const name =
            i < config->input_count
                ? config->inputs[i].topic
                : mr_kafka_topic_name(config, (mr_topic)(i - config->input_count));
        const rd_kafka_resp_err_t code =
            rd_kafka_mock_topic_create(brokers->cluster, name, (int)partition_count, 1);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return mr_fail(err, MR_FATAL, "mock topic %s: %s", name, rd_kafka_err2str(code));
    }
    return MR_OK;
}
