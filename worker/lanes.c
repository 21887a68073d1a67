// SPDX-License-Identifier: Apache-2.0
#include "worker/lanes.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LANES_MAX = 64 };

struct mr_lane_pool {
    pthread_t threads[LANES_MAX];
    uint32_t thread_count; // beside the calling one
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    uint64_t run; // number of the run; threads wait for it to change
    uint32_t busy;
    bool stop;
    void (*job)(void *arg, uint32_t index);
    void *arg;
    uint32_t count;
    _Atomic uint32_t next;
};

static void work(mr_lane_pool *pool)
{
    for (uint32_t i; (i = atomic_fetch_add(&pool->next, 1)) < pool->count;)
        pool->job(pool->arg, i);
}

static void *lane(void *context)
{
    mr_lane_pool *pool = context;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->run == seen && !pool->stop)
            pthread_cond_wait(&pool->begun, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->run;
        pthread_mutex_unlock(&pool->lock);
        work(pool);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->ended);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void run(void *context, void (*job)(void *arg, uint32_t index), void *arg, uint32_t count)
{
    mr_lane_pool *pool = context;
    if (pool->thread_count == 0 || count < 2) {
        for (uint32_t i = 0; i < count; i++)
            job(arg, i);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    pool->arg = arg;
    pool->count = count;
    pool->next = 0;
    pool->busy = pool->thread_count;
    pool->run++;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->lock);
    work(pool);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

uint32_t mr_lane_count(int64_t configured)
{
    if (configured > 0)
        return (uint32_t)configured;
    cpu_set_t cores;
    const int count =
        sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

mr_status mr_lane_pool_open(uint32_t count, mr_lane_pool **out, mr_error *err)
{
    mr_lane_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return mr_fail(err, MR_FATAL, "out of memory");
    MR_ASSERT(count >= 1 && count <= LANES_MAX);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->begun, NULL);
    pthread_cond_init(&pool->ended, NULL);
    for (uint32_t i = 1; i < count; i++) {
        const int code = pthread_create(&pool->threads[pool->thread_count], NULL, lane, pool);
        if (code != 0) {
            mr_lane_pool_close(pool);
            return mr_fail(err, MR_FATAL, "lane %u: %s", i, strerror(code));
        }
        pool->thread_count++;
    }
    *out = pool;
    return MR_OK;
}

void mr_lane_pool_close(mr_lane_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->begun);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

mr_lanes mr_lane_pool_port(mr_lane_pool *pool)
{
    return (mr_lanes){pool, run};
}
