/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an audit and their verification: everything that can be done to a line is found, and
 * what a crash leaves is repaired and said. */
#include "admin/audit_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "admin/audit_verify.h"
#include "tests/unit/admin/audit_rig.h"
#include "tests/unit/admin/test.h"

#define LINES_MAX 64u
#define NOW_MS 1763715600000ull

/* The lines of a file, each with its newline. */
struct lines {
    uint32_t count;
    char *line[LINES_MAX];
};

static struct mkv_audit_file *open_file(const struct rig *rig, uint64_t bytes_max,
                                        uint32_t files_max) {
    const struct mkv_audit_file_options options = {
        .path = rig->path, .node = "n", .bytes_max = bytes_max, .files_max = files_max};
    struct mkv_audit_file *file = NULL;
    char error[MKV_AUDIT_ERROR_BYTES] = "";
    const bool opened = mkv_audit_file_open(&options, NOW_MS, &file, error);
    assert_string_equal(error, "");
    assert_true(opened);
    return file;
}

static void append(struct mkv_audit_file *file, uint32_t count) {
    char error[MKV_AUDIT_ERROR_BYTES];
    for (uint32_t index = 0; index < count; index++) {
        struct mkv_audit_entry entry = {.operation = MKV_AUDIT_TENANT_DROP, .count = 1};
        snprintf(entry.entity, sizeof entry.entity, "tenant %u", index);
        assert_true(mkv_audit_file_append(file, &entry, NOW_MS + index, error));
        assert_true(mkv_audit_file_sync(file, error));
    }
}

static struct mkv_audit_verdict verify(const struct rig *rig) {
    const struct mkv_audit_verify_options options = {.path = rig->path, .sequence_end = UINT64_MAX};
    struct mkv_audit_verdict verdict;
    const bool read = mkv_audit_verify(&options, &verdict);
    assert_true(read);
    return verdict;
}

static struct lines read_lines(const char *path) {
    struct lines lines = {0};
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t capacity = 0;
    while (lines.count < LINES_MAX && getline(&lines.line[lines.count], &capacity, file) > 0) {
        lines.count++;
        capacity = 0;
    }
    free(lines.line[lines.count]);
    fclose(file);
    return lines;
}

static void write_lines(const char *path, char *const *line, uint32_t count) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (uint32_t index = 0; index < count; index++) {
        assert_true(fputs(line[index], file) >= 0);
    }
    assert_int_equal(fclose(file), 0);
}

static void free_lines(struct lines *lines) {
    for (uint32_t index = 0; index < lines->count; index++) {
        free(lines->line[index]);
    }
}

static void append_bytes(const char *path, const char *bytes, size_t count) {
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void test_audit_file__opened_again__one_chain(void **state) {
    const struct rig *rig = *state;
    for (unsigned round = 0; round < 3; round++) {
        struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
        append(file, 3);
        assert_int_equal(mkv_audit_file_head(file).next_sequence, 1 + 3 * (round + 1));
        mkv_audit_file_close(file);
    }
    const struct mkv_audit_verdict verdict = verify(rig);
    assert_true(verdict.intact && verdict.complete);
    assert_int_equal(verdict.records, 10);
    struct stat status;
    assert_int_equal(stat(rig->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

/* Each line is taken out, doubled, swapped with its neighbour, and cut. */
static void test_audit_verify__lines_removed_inserted_reordered_cut__named(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 7);
    mkv_audit_file_close(file);
    struct lines good = read_lines(rig->path);
    assert_int_equal(good.count, 8);
    for (uint32_t at = 0; at < good.count; at++) {
        char *other[LINES_MAX];
        const bool is_last = at + 1 == good.count;
        /* Taken out: the tail can be, which only an expected head finds. */
        memcpy(other, good.line, sizeof other);
        memmove(other + at, other + at + 1, (good.count - at - 1) * sizeof *other);
        write_lines(rig->path, other, good.count - 1);
        struct mkv_audit_verdict verdict = verify(rig);
        assert_int_equal(verdict.intact, is_last);
        if (!is_last) {
            assert_int_equal(verdict.fault, MKV_AUDIT_MISSING);
            assert_int_equal(verdict.fault_sequence, at == 0 ? 1 : at + 1);
        }
        /* Doubled. */
        memcpy(other, good.line, sizeof other);
        memmove(other + at + 1, other + at, (good.count - at) * sizeof *other);
        write_lines(rig->path, other, good.count + 1);
        verdict = verify(rig);
        assert_false(verdict.intact);
        assert_int_equal(verdict.fault, MKV_AUDIT_REPEATED);
        assert_int_equal(verdict.fault_sequence, at);
        assert_int_equal(verdict.fault_line, at + 2);
        /* Swapped. */
        if (!is_last) {
            memcpy(other, good.line, sizeof other);
            other[at] = good.line[at + 1];
            other[at + 1] = good.line[at];
            write_lines(rig->path, other, good.count);
            assert_false(verify(rig).intact);
        }
        /* Cut short, with the lines behind it as they were, and without. */
        memcpy(other, good.line, sizeof other);
        char cut[MKV_AUDIT_LINE_BYTES_MAX];
        snprintf(cut, sizeof cut, "%.*s", (int)strlen(good.line[at]) - 1, good.line[at]);
        other[at] = cut;
        write_lines(rig->path, other, good.count);
        assert_false(verify(rig).intact);
        write_lines(rig->path, other, at + 1);
        verdict = verify(rig);
        assert_false(verdict.intact);
        assert_int_equal(verdict.fault, MKV_AUDIT_CUT);
        assert_int_equal(verdict.fault_sequence, at);
    }
    free_lines(&good);
}

/* A forged record whose own hash was made anew fits in itself; what it goes on from, or what goes
 * on from it, does not. */
static void test_audit_verify__records_of_another_chain__found(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 5);
    mkv_audit_file_close(file);
    struct lines good = read_lines(rig->path);
    assert_int_equal(unlink(rig->path), 0);
    file = open_file(rig, MKV_MIB, 4);
    for (unsigned other = 0; other < 5; other++) {
        append(file, 1);
    }
    mkv_audit_file_close(file);
    struct lines forged = read_lines(rig->path);
    assert_string_equal(good.line[1], forged.line[1]);
    for (uint32_t at = 2; at < good.count; at++) {
        char *other[LINES_MAX];
        memcpy(other, good.line, sizeof other);
        other[at] = forged.line[at];
        write_lines(rig->path, other, good.count);
        const struct mkv_audit_verdict verdict = verify(rig);
        /* Record 2 goes on from one that both have; record 3 behind it does not go on from it. */
        assert_false(verdict.intact);
        assert_int_equal(verdict.fault, MKV_AUDIT_UNCHAINED);
        assert_int_equal(verdict.fault_sequence, at == 2 ? 3 : at);
    }
    free_lines(&good);
    free_lines(&forged);
}

static void test_audit_verify__any_byte_of_the_file_altered__found(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 3);
    mkv_audit_file_close(file);
    FILE *stream = fopen(rig->path, "r+");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    const long bytes = ftell(stream);
    for (long at = 0; at < bytes; at++) {
        assert_int_equal(fseek(stream, at, SEEK_SET), 0);
        const int original = fgetc(stream);
        assert_int_equal(fseek(stream, at, SEEK_SET), 0);
        fputc(original ^ 1, stream);
        assert_int_equal(fflush(stream), 0);
        assert_false(verify(rig).intact);
        assert_int_equal(fseek(stream, at, SEEK_SET), 0);
        fputc(original, stream);
        assert_int_equal(fflush(stream), 0);
    }
    fclose(stream);
    assert_true(verify(rig).intact);
}

/* A chain that was made anew from some record on fits in itself: a head that was kept tells. */
static void test_audit_verify__expected_head__cut_tails_and_new_chains_found(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 3);
    struct mkv_audit_head head = mkv_audit_file_head(file);
    append(file, 2);
    mkv_audit_file_close(file);
    const struct mkv_audit_verify_options options = {
        .path = rig->path, .sequence_end = UINT64_MAX, .head = head.hash};
    struct mkv_audit_verdict verdict;
    assert_true(mkv_audit_verify(&options, &verdict));
    assert_true(verdict.intact && verdict.head_found);
    struct lines good = read_lines(rig->path);
    write_lines(rig->path, good.line, 3);
    assert_true(mkv_audit_verify(&options, &verdict));
    assert_false(verdict.intact);
    assert_int_equal(verdict.fault, MKV_AUDIT_MISSING);
    assert_non_null(strstr(verdict.message, "expected hash"));
    assert_int_equal(unlink(rig->path), 0);
    file = open_file(rig, MKV_MIB, 4);
    for (unsigned other = 0; other < 6; other++) {
        append(file, 1);
    }
    mkv_audit_file_close(file);
    assert_true(mkv_audit_verify(&options, &verdict));
    assert_true(!verdict.intact && !verdict.head_found);
    free_lines(&good);
}

/* Cut at every byte, as a crash may; nothing that was whole is lost, and a record says so. */
static void test_audit_file__torn_at_any_byte__repaired_and_said(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 2);
    mkv_audit_file_close(file);
    struct lines good = read_lines(rig->path);
    assert_int_equal(good.count, 3);
    const char *last = good.line[2];
    for (size_t cut = 1; cut < strlen(last); cut += 7) {
        write_lines(rig->path, good.line, 2);
        append_bytes(rig->path, last, cut);
        mkv_audit_file_close(open_file(rig, MKV_MIB, 4));
        const struct mkv_audit_verdict verdict = verify(rig);
        assert_true(verdict.intact);
        assert_int_equal(verdict.records, 3);
        struct lines now = read_lines(rig->path);
        assert_string_equal(now.line[1], good.line[1]);
        assert_non_null(strstr(now.line[2], "\"operation\":\"repair\""));
        free_lines(&now);
    }
    /* A page of the record that never came to the drive reads as zeros. */
    char holed[MKV_AUDIT_LINE_BYTES_MAX];
    snprintf(holed, sizeof holed, "%s", last);
    memset(holed + 20, 0, 40);
    write_lines(rig->path, good.line, 2);
    append_bytes(rig->path, holed, strlen(last));
    mkv_audit_file_close(open_file(rig, MKV_MIB, 4));
    assert_true(verify(rig).intact);
    /* Torn in the very first record: the chain begins anew, and says that something was there. */
    write_lines(rig->path, good.line, 0);
    append_bytes(rig->path, good.line[0], 30);
    mkv_audit_file_close(open_file(rig, MKV_MIB, 4));
    assert_true(verify(rig).intact);
    assert_int_equal(verify(rig).records, 2);
    free_lines(&good);
}

static void test_audit_file__last_record_altered__stays_and_is_named(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    append(file, 2);
    mkv_audit_file_close(file);
    struct lines good = read_lines(rig->path);
    *strstr(good.line[2], "tenant 1") = 'T';
    write_lines(rig->path, good.line, good.count);
    file = open_file(rig, MKV_MIB, 4);
    assert_true(mkv_audit_file_was_broken(file));
    append(file, 1);
    mkv_audit_file_close(file);
    const struct mkv_audit_verdict verdict = verify(rig);
    assert_false(verdict.intact);
    assert_int_equal(verdict.fault, MKV_AUDIT_ALTERED);
    assert_int_equal(verdict.fault_sequence, 2);
    assert_int_equal(verdict.fault_line, 3);
    struct lines now = read_lines(rig->path);
    assert_int_equal(now.count, 5);
    assert_string_equal(now.line[2], good.line[2]);
    assert_non_null(strstr(now.line[3], "\"operation\":\"broken\""));
    free_lines(&now);
    free_lines(&good);
}

static uint32_t count_files(const struct rig *rig, struct mkv_audit_files *files) {
    char error[MKV_AUDIT_ERROR_BYTES];
    assert_true(mkv_audit_files_list(rig->path, files, error));
    return files->count;
}

static void test_audit_file__rotated_and_removed__chain_goes_on(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_files *files = calloc(1, sizeof *files);
    struct mkv_audit_file *file = open_file(rig, 2ull * MKV_AUDIT_LINE_BYTES_MAX, 3);
    append(file, 150);
    const uint64_t next = mkv_audit_file_head(file).next_sequence;
    mkv_audit_file_close(file);
    assert_int_equal(count_files(rig, files), 2);
    assert_true(files->numbers[0] > 1);
    struct mkv_audit_verdict verdict = verify(rig);
    assert_string_equal(verdict.message, "");
    assert_true(verdict.intact);
    assert_true(verdict.first_sequence > 0);
    assert_int_equal(verdict.first_sequence + verdict.records, next);
    /* A crash between renaming and the first record behind it. */
    char rotated[MKV_AUDIT_PATH_BYTES];
    mkv_audit_file_name(rig->path, files->numbers[1] + 1, rotated);
    assert_int_equal(rename(rig->path, rotated), 0);
    assert_true(verify(rig).intact);
    mkv_audit_file_close(open_file(rig, MKV_MIB, 4));
    verdict = verify(rig);
    assert_true(verdict.intact);
    assert_int_equal(verdict.at.next_sequence, next + 1);
    /* What somebody else takes away is missed. */
    assert_int_equal(count_files(rig, files), 3);
    mkv_audit_file_name(rig->path, files->numbers[1], rotated);
    assert_int_equal(unlink(rotated), 0);
    verdict = verify(rig);
    assert_false(verdict.intact);
    assert_int_equal(verdict.fault, MKV_AUDIT_MISSING);
    mkv_audit_file_name(rig->path, files->numbers[0], rotated);
    assert_int_equal(unlink(rotated), 0);
    assert_false(verify(rig).intact);
    free(files);
}

static void test_audit_verify__in_pieces__the_same_verdict(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, 2ull * MKV_AUDIT_LINE_BYTES_MAX, 8);
    append(file, 100);
    const struct mkv_audit_head head = mkv_audit_file_head(file);
    mkv_audit_file_close(file);
    struct mkv_audit_verify_options options = {
        .path = rig->path, .sequence_end = UINT64_MAX, .bytes_max = 3000};
    struct mkv_audit_verdict verdict;
    uint64_t records = 0;
    uint32_t steps = 0;
    do {
        assert_true(mkv_audit_verify(&options, &verdict));
        assert_true(verdict.intact);
        records += verdict.records;
        options.from = verdict.at;
        options.from_set = true;
        steps++;
    } while (!verdict.complete && steps < 100);
    assert_true(steps > 5);
    assert_int_equal(records, head.next_sequence);
    assert_memory_equal(verdict.at.hash, head.hash, sizeof head.hash);
}

static void test_audit_file__two_processes_or_no_directory__refused(void **state) {
    const struct rig *rig = *state;
    struct mkv_audit_file *file = open_file(rig, MKV_MIB, 4);
    const struct mkv_audit_file_options options = {
        .path = rig->path, .node = "n", .bytes_max = MKV_MIB, .files_max = 4};
    struct mkv_audit_file *other = NULL;
    char error[MKV_AUDIT_ERROR_BYTES];
    assert_false(mkv_audit_file_open(&options, NOW_MS, &other, error));
    assert_non_null(strstr(error, "another process's; give each node"));
    mkv_audit_file_close(file);
    const struct mkv_audit_file_options elsewhere = {
        .path = "/nowhere/audit.log", .node = "n", .bytes_max = MKV_MIB, .files_max = 4};
    assert_false(mkv_audit_file_open(&elsewhere, NOW_MS, &other, error));
    assert_non_null(strstr(error, "cannot be opened: No such file or directory. Make its"));
}

static void test_audit_file__no_regular_file__refused(void **state) {
    (void)state;
    const struct mkv_audit_file_options options = {
        .path = "/dev/full", .node = "n", .bytes_max = MKV_MIB, .files_max = 4};
    struct mkv_audit_file *file = NULL;
    char error[MKV_AUDIT_ERROR_BYTES];
    assert_false(mkv_audit_file_open(&options, NOW_MS, &file, error));
    assert_non_null(strstr(error, "no regular file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, audit_rig_set_up, audit_rig_tear_down)
        TEST(test_audit_file__opened_again__one_chain),
        TEST(test_audit_verify__lines_removed_inserted_reordered_cut__named),
        TEST(test_audit_verify__records_of_another_chain__found),
        TEST(test_audit_verify__any_byte_of_the_file_altered__found),
        TEST(test_audit_verify__expected_head__cut_tails_and_new_chains_found),
        TEST(test_audit_file__torn_at_any_byte__repaired_and_said),
        TEST(test_audit_file__last_record_altered__stays_and_is_named),
        TEST(test_audit_file__rotated_and_removed__chain_goes_on),
        TEST(test_audit_verify__in_pieces__the_same_verdict),
        TEST(test_audit_file__two_processes_or_no_directory__refused),
        TEST(test_audit_file__no_regular_file__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
