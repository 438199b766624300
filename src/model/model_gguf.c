#include "model_gguf.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WINDOW_BYTES = 64 * 1024,
    PAIRS_MAX = 65536,
    TENSORS_MAX = 1 << 20,
    KEY_BYTES_MAX = 65535,
    NAME_BYTES_MAX = 256,
    DIMENSIONS_MAX = 4,
    ALIGNMENT_MAX = 1 << 20,
};
enum value_type { VALUE_STRING = 8, VALUE_ARRAY = 9, VALUE_TYPES = 13 };

/* Bytes of a value by its type in the header; 0: of its own length. */
static const uint8_t value_bytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* Weights come in blocks: how many in one, and its bytes. Types not here have been withdrawn. */
static const struct {
    uint16_t weights, bytes;
} tensor_types[] = {
    [0] = {1, 4},      [1] = {1, 2},      [2] = {32, 18},    [3] = {32, 20},    [6] = {32, 22},
    [7] = {32, 24},    [8] = {32, 34},    [9] = {32, 36},    [10] = {256, 84},  [11] = {256, 110},
    [12] = {256, 144}, [13] = {256, 176}, [14] = {256, 210}, [15] = {256, 292}, [16] = {256, 66},
    [17] = {256, 74},  [18] = {256, 98},  [19] = {256, 50},  [20] = {32, 18},   [21] = {256, 110},
    [22] = {256, 82},  [23] = {256, 136}, [24] = {1, 1},     [25] = {1, 2},     [26] = {1, 4},
    [27] = {1, 8},     [28] = {1, 8},     [29] = {256, 56},  [30] = {1, 2},     [34] = {256, 54},
    [35] = {256, 66},  [39] = {32, 17},   [40] = {64, 36},   [41] = {128, 18},  [42] = {64, 18},
};

/* Reads forward, through a window. */
struct reader {
    int fd; /* -1: all there is stands in `window` */
    uint64_t file_bytes;
    uint64_t at;          /* place in the file */
    uint64_t window_from; /* place of window[0] */
    const unsigned char *window;
    size_t window_len;
    unsigned char memory[WINDOW_BYTES];
    struct status *st;
};

static bool check(struct reader *in);
static bool check_pair(struct reader *in, uint64_t *alignment);
static bool check_array(struct reader *in);
static bool check_tensor(struct reader *in, uint64_t alignment, uint64_t *data_end);
static bool tensor_bytes(struct reader *in, uint32_t type, const uint64_t *dimensions,
                         uint32_t count, uint64_t *bytes);
static bool take(struct reader *in, void *out, size_t size);
static bool take_u32(struct reader *in, uint32_t *out);
static bool take_u64(struct reader *in, uint64_t *out);
static bool skip(struct reader *in, uint64_t count);
static bool skip_string(struct reader *in, uint64_t bytes_max);
static bool cut(struct reader *in);

bool model_gguf_check(const char *path, struct status *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return status_fail(st, STATUS_NOT_FOUND, "there is no model file %s", path);
    if (fd < 0)
        return status_fail_errno(st, errno, "could not open the model file %s", path);
    struct stat facts;
    bool ok = false;
    if (fstat(fd, &facts) != 0) {
        status_fail_errno(st, errno, "could not read the model file %s", path);
    } else if (!S_ISREG(facts.st_mode)) {
        status_fail(st, STATUS_INVALID, "%s is not a file", path);
    } else {
        struct reader in = {.fd = fd, .file_bytes = (uint64_t)facts.st_size, .st = st};
        ok = check(&in) || status_wrap(st, "cannot use the model file %s", path);
    }
    close(fd);
    return ok;
}

bool model_gguf_check_bytes(struct text start, uint64_t file_bytes, struct status *st)
{
    struct reader in = {
        .fd = -1,
        .file_bytes = file_bytes,
        .window = (const unsigned char *)start.at,
        .window_len = start.len < file_bytes ? start.len : (size_t)file_bytes,
        .st = st,
    };
    return check(&in);
}

static bool check(struct reader *in)
{
    char magic[4];
    uint32_t version;
    uint64_t tensors, pairs, alignment = 32, data_end = 0;
    if (in->file_bytes < sizeof magic)
        return status_fail(in->st, STATUS_INVALID, "it is not a GGUF file (it has %llu bytes)",
                           (unsigned long long)in->file_bytes);
    if (!take(in, magic, sizeof magic))
        return false;
    if (memcmp(magic, "GGUF", 4) != 0)
        return status_fail(in->st, STATUS_INVALID, "it is not a GGUF file");
    if (!take_u32(in, &version) || !take_u64(in, &tensors) || !take_u64(in, &pairs))
        return false;
    if (version < 2 || version > 3)
        return status_fail(in->st, STATUS_INVALID, "its GGUF version is %u; 2 and 3 are known",
                           version);
    if (tensors > TENSORS_MAX || pairs > PAIRS_MAX)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: %llu tensors, %llu keys",
                           (unsigned long long)tensors, (unsigned long long)pairs);
    if (tensors == 0)
        return status_fail(in->st, STATUS_INVALID, "it holds no weights");
    for (uint64_t i = 0; i < pairs; i++)
        if (!check_pair(in, &alignment))
            return false;
    for (uint64_t i = 0; i < tensors; i++)
        if (!check_tensor(in, alignment, &data_end))
            return false;
    uint64_t data_from = (in->at + alignment - 1) / alignment * alignment, end;
    if (__builtin_add_overflow(data_from, data_end, &end) || end > in->file_bytes)
        return cut(in);
    return true;
}

static bool check_pair(struct reader *in, uint64_t *alignment)
{
    static const char alignment_key[] = "general.alignment";
    uint64_t length;
    uint32_t type;
    char key[sizeof alignment_key - 1] = "";
    if (!take_u64(in, &length))
        return false;
    if (length > KEY_BYTES_MAX)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: a key");
    bool is_alignment = length == sizeof key;
    if (!(is_alignment ? take(in, key, sizeof key) : skip(in, length)) || !take_u32(in, &type))
        return false;
    if (is_alignment && memcmp(key, alignment_key, sizeof key) == 0) {
        uint32_t value;
        if (type != 4 || !take_u32(in, &value))
            return status_fail(in->st, STATUS_INVALID, "its header is broken: general.alignment");
        if (value < 8 || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
            return status_fail(in->st, STATUS_INVALID, "its alignment is %u", value);
        *alignment = value;
        return true;
    }
    if (type == VALUE_STRING)
        return skip_string(in, UINT64_MAX);
    if (type == VALUE_ARRAY)
        return check_array(in);
    if (type >= VALUE_TYPES)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: a value of type %u",
                           type);
    return skip(in, value_bytes[type]);
}

static bool check_array(struct reader *in)
{
    uint32_t type;
    uint64_t count, bytes;
    if (!take_u32(in, &type) || !take_u64(in, &count))
        return false;
    if (type == VALUE_ARRAY || type >= VALUE_TYPES)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: a list of type %u", type);
    if (type != VALUE_STRING)
        return __builtin_mul_overflow(count, (uint64_t)value_bytes[type], &bytes) ? cut(in)
                                                                                  : skip(in, bytes);
    if (count > (in->file_bytes - in->at) / 8) /* each has at least its length */
        return cut(in);
    for (uint64_t i = 0; i < count; i++)
        if (!skip_string(in, UINT64_MAX))
            return false;
    return true;
}

static bool check_tensor(struct reader *in, uint64_t alignment, uint64_t *data_end)
{
    uint32_t count, type;
    uint64_t dimensions[DIMENSIONS_MAX] = {0}, offset, bytes = 0, end;
    if (!skip_string(in, NAME_BYTES_MAX) || !take_u32(in, &count))
        return false;
    if (count > DIMENSIONS_MAX)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: %u dimensions", count);
    for (uint32_t i = 0; i < count; i++)
        if (!take_u64(in, &dimensions[i]))
            return false;
    if (!take_u32(in, &type) || !take_u64(in, &offset) ||
        !tensor_bytes(in, type, dimensions, count, &bytes))
        return false;
    if (offset % alignment != 0)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: an offset");
    if (__builtin_add_overflow(offset, bytes, &end))
        return cut(in);
    *data_end = end > *data_end ? end : *data_end;
    return true;
}

static bool tensor_bytes(struct reader *in, uint32_t type, const uint64_t *dimensions,
                         uint32_t count, uint64_t *bytes)
{
    uint64_t weights = 1;
    if (type >= ARRAY_LEN(tensor_types) || tensor_types[type].bytes == 0)
        return status_fail(in->st, STATUS_INVALID, "it has weights of the unknown type %u", type);
    for (uint32_t i = 0; i < count; i++)
        if (dimensions[i] == 0 || dimensions[i] > INT64_MAX ||
            __builtin_mul_overflow(weights, dimensions[i], &weights) || weights > INT64_MAX)
            return status_fail(in->st, STATUS_INVALID, "its header is broken: a dimension");
    if (count > 0 && dimensions[0] % tensor_types[type].weights != 0)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: a row of %llu weights",
                           (unsigned long long)dimensions[0]);
    if (__builtin_mul_overflow(weights / tensor_types[type].weights,
                               (uint64_t)tensor_types[type].bytes, bytes))
        return cut(in);
    return true;
}

static bool cut(struct reader *in)
{
    return status_fail(in->st, STATUS_INVALID,
                       "it is cut short: it has %llu bytes and says that it is longer",
                       (unsigned long long)in->file_bytes);
}

static bool refill(struct reader *in)
{
    if (in->fd < 0)
        return cut(in);
    ssize_t got;
    do
        got = pread(in->fd, in->memory, sizeof in->memory, (off_t)in->at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return status_fail_errno(in->st, errno, "could not read it");
    if (got == 0)
        return cut(in);
    in->window = in->memory;
    in->window_from = in->at;
    in->window_len = (size_t)got;
    return true;
}

static bool take(struct reader *in, void *out, size_t size)
{
    unsigned char *to = out;
    while (size > 0) {
        uint64_t within = in->at - in->window_from;
        if (within >= in->window_len) {
            if (!refill(in))
                return false;
            within = 0;
        }
        size_t some = in->window_len - (size_t)within;
        if (some > size)
            some = size;
        memcpy(to, in->window + within, some);
        to += some;
        size -= some;
        in->at += some;
    }
    return true;
}

/* The format is little-endian. */
static bool take_u32(struct reader *in, uint32_t *out)
{
    unsigned char raw[4];
    if (!take(in, raw, sizeof raw))
        return false;
    *out = raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
    return true;
}

static bool take_u64(struct reader *in, uint64_t *out)
{
    uint32_t low, high;
    if (!take_u32(in, &low) || !take_u32(in, &high))
        return false;
    *out = low | (uint64_t)high << 32;
    return true;
}

static bool skip(struct reader *in, uint64_t count)
{
    if (count > in->file_bytes - in->at)
        return cut(in);
    in->at += count;
    return true;
}

static bool skip_string(struct reader *in, uint64_t bytes_max)
{
    uint64_t length;
    if (!take_u64(in, &length))
        return false;
    if (length > bytes_max)
        return status_fail(in->st, STATUS_INVALID, "its header is broken: a name");
    return skip(in, length);
}
