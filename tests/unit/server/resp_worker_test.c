/* SPDX-License-Identifier: Apache-2.0 */
#include "server/resp_worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define JOBS 200u

struct world {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool hold; /* the first job waits until this is false */
    uint32_t run_count, done_count;
    uint32_t order[JOBS];
};

struct job {
    struct mkv_resp_job base;
    struct world *world;
    uint32_t number;
    bool was_run;
};

static void run(struct mkv_resp_job *base) {
    struct job *job = (struct job *)base;
    pthread_mutex_lock(&job->world->mutex);
    job->world->run_count++;
    pthread_cond_broadcast(&job->world->changed);
    while (job->world->hold) {
        pthread_cond_wait(&job->world->changed, &job->world->mutex);
    }
    pthread_mutex_unlock(&job->world->mutex);
    job->was_run = true;
}

static void done(struct mkv_resp_job *base) {
    struct job *job = (struct job *)base;
    pthread_mutex_lock(&job->world->mutex);
    job->world->order[job->world->done_count++] = job->number;
    pthread_cond_broadcast(&job->world->changed);
    pthread_mutex_unlock(&job->world->mutex);
}

static struct mkv_resp_worker *start(struct world *world, struct job *jobs) {
    struct mkv_resp_worker *worker;
    struct mkv_backend_error error;
    pthread_mutex_init(&world->mutex, NULL);
    pthread_cond_init(&world->changed, NULL);
    assert_true(mkv_resp_worker_start(&worker, &error));
    for (uint32_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.base = {.run = run, .done = done}, .world = world, .number = i};
    }
    return worker;
}

static void end(struct world *world) {
    pthread_cond_destroy(&world->changed);
    pthread_mutex_destroy(&world->mutex);
}

static void test_resp_worker__many_jobs__are_run_in_order(void **state) {
    (void)state;
    static struct world world;
    static struct job jobs[JOBS];
    world = (struct world){0};
    struct mkv_resp_worker *worker = start(&world, jobs);
    for (uint32_t i = 0; i < JOBS; i++) {
        mkv_resp_worker_submit(worker, &jobs[i].base);
    }
    pthread_mutex_lock(&world.mutex);
    while (world.done_count < JOBS) {
        pthread_cond_wait(&world.changed, &world.mutex);
    }
    pthread_mutex_unlock(&world.mutex);
    mkv_resp_worker_stop(worker);
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_true(jobs[i].was_run);
        assert_int_equal(world.order[i], i);
    }
    end(&world);
}

static void *release(void *context) {
    struct world *world = context;
    pthread_mutex_lock(&world->mutex);
    world->hold = false;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->mutex);
    return NULL;
}

static void test_resp_worker__stopped__hands_back_each_job_once(void **state) {
    (void)state;
    static struct world world;
    static struct job jobs[JOBS];
    world = (struct world){.hold = true};
    struct mkv_resp_worker *worker = start(&world, jobs);
    for (uint32_t i = 0; i < JOBS; i++) {
        mkv_resp_worker_submit(worker, &jobs[i].base);
    }
    pthread_mutex_lock(&world.mutex);
    while (world.run_count == 0) {
        pthread_cond_wait(&world.changed, &world.mutex);
    }
    pthread_mutex_unlock(&world.mutex);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, &world), 0);
    mkv_resp_worker_stop(worker);
    pthread_join(thread, NULL);
    assert_int_equal(world.done_count, JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_int_equal(world.order[i], i);
    }
    end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_worker__many_jobs__are_run_in_order),
        cmocka_unit_test(test_resp_worker__stopped__hands_back_each_job_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
