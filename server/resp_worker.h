/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that runs RESP commands which have to ask the node: a shard's thread hands a job over
 * and goes on, and is given it back.
 *
 *   shard's thread --submit--> queue --> worker: run --> done(job), then wake --> shard's thread
 *
 * Invariants
 *  I1  A job is the worker's from submit to done; done is called once for each, on the worker's
 *      thread, or within stop for those that were not run.
 *  I2  Jobs are run one at a time, in the order in which they came.
 *
 * Not responsible for: what a job does, how many there may be (whoever submits bounds them).
 */
#ifndef MKV_SERVER_RESP_WORKER_H
#define MKV_SERVER_RESP_WORKER_H

#include "backends/error.h"
#include "core/base.h"

struct mkv_resp_worker;

struct mkv_resp_job {
    void (*run)(struct mkv_resp_job *job);  /* not called when the worker stops before it */
    void (*done)(struct mkv_resp_job *job); /* hands it back */
    struct mkv_resp_job *next;              /* the worker's, and behind done its owner's */
};

__attribute__((warn_unused_result)) bool mkv_resp_worker_start(struct mkv_resp_worker **worker,
                                                               struct mkv_backend_error *error);
/* Ends the thread behind the job that runs. NULL is allowed. */
void mkv_resp_worker_stop(struct mkv_resp_worker *worker);
/* From any thread. */
void mkv_resp_worker_submit(struct mkv_resp_worker *worker, struct mkv_resp_job *job);

#endif
