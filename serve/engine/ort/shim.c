#include "shim.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

typedef void *ptr;
typedef struct {
  const void *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} api_base;

#define POSITION(name, i) at_##name = i,
enum { FL_FUNCTIONS(POSITION) };

struct fl_runtime {
  void *const *api;
  ptr env;
  ptr memory;    // CPU memory info
  ptr allocator; // default allocator, owned by the library
};

// CALL casts the table's entry to the type of the function. Every status-returning function gives NULL on success.
#define CALL(r, name, type) ((type)(r)->api[at_##name])
#define STATUS(r, name, ...) ((ptr(*)(__VA_ARGS__))(r)->api[at_##name])
#define RELEASE(r, name, x)                                                                                           \
  do {                                                                                                                \
    if (x) CALL(r, name, void (*)(ptr))(x);                                                                           \
  } while (0)

static int fail(fl_error *err, const char *text) {
  err->code = -1;
  err->text = strdup(text ? text : "unknown error");
  return 1;
}

// check turns a status into the error and releases it.
static int check(fl_runtime *r, ptr status, fl_error *err) {
  if (!status) return 0;
  err->code = CALL(r, GetErrorCode, int (*)(ptr))(status);
  err->text = strdup(CALL(r, GetErrorMessage, const char *(*)(ptr))(status));
  RELEASE(r, ReleaseStatus, status);
  return 1;
}

int fl_open(const char *library, fl_runtime **out, char *version, size_t version_size, fl_error *err) {
  // The library stays mapped for the life of the process: it has thread-local state that outlives a dlclose badly.
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return fail(err, dlerror());
  const api_base *(*get)(void) = (const api_base *(*)(void))dlsym(handle, "OrtGetApiBase");
  if (!get) return fail(err, "it has no OrtGetApiBase, so it is not ONNX Runtime");
  const api_base *base = get();
  snprintf(version, version_size, "%s", base->GetVersionString());
  const void *api = base->GetApi(FL_API_VERSION);
  if (!api) return fail(err, "it is older than 1.24");
  fl_runtime *r = calloc(1, sizeof *r);
  if (!r) return fail(err, "out of memory");
  r->api = api;
  // Severity 4 (fatal): every error comes back as a status, and the library would print it to stderr as well.
  if (check(r, STATUS(r, CreateEnv, int, const char *, ptr *)(4, "fairlead", &r->env), err) ||
      check(r, STATUS(r, DisableTelemetryEvents, ptr)(r->env), err) ||
      check(r, STATUS(r, CreateCpuMemoryInfo, int, int, ptr *)(0, 0, &r->memory), err) ||
      check(r, STATUS(r, GetAllocatorWithDefaultOptions, ptr *)(&r->allocator), err)) {
    fl_close(r);
    return 1;
  }
  *out = r;
  return 0;
}

void fl_close(fl_runtime *r) {
  RELEASE(r, ReleaseMemoryInfo, r->memory);
  RELEASE(r, ReleaseEnv, r->env);
  free(r);
}

static int configure(fl_runtime *r, ptr o, int threads, fl_error *err) {
  return check(r, STATUS(r, SetIntraOpNumThreads, ptr, int)(o, threads), err) ||
         check(r, STATUS(r, SetInterOpNumThreads, ptr, int)(o, 1), err) ||
         check(r, STATUS(r, SetSessionExecutionMode, ptr, int)(o, 0), err) ||
         check(r, STATUS(r, SetSessionGraphOptimizationLevel, ptr, int)(o, 99), err) ||
         check(r, STATUS(r, DisableMemPattern, ptr)(o), err) ||
         check(r, STATUS(r, DisableCpuMemArena, ptr)(o), err) ||
         check(r, STATUS(r, AddSessionConfigEntry, ptr, const char *, const char *)(
                      o, "session.intra_op.allow_spinning", "0"), err) ||
         check(r, STATUS(r, AddSessionConfigEntry, ptr, const char *, const char *)(
                      o, "session.inter_op.allow_spinning", "0"), err);
}

int fl_load(fl_runtime *r, const void *onnx, size_t size, int threads, void **session, fl_error *err) {
  ptr o = NULL;
  if (check(r, STATUS(r, CreateSessionOptions, ptr *)(&o), err)) return 1;
  int bad = configure(r, o, threads, err) ||
            check(r, STATUS(r, CreateSessionFromArray, ptr, const void *, size_t, ptr, ptr *)(r->env, onnx, size, o,
                                                                                              session), err);
  RELEASE(r, ReleaseSessionOptions, o);
  return bad;
}

void fl_unload(fl_runtime *r, void *session) {
  if (!session) return;
  RELEASE(r, ReleaseSession, session);
#ifdef __GLIBC__
  // Weights below the mmap threshold lie in arenas that glibc keeps for itself.
  malloc_trim(0);
#endif
}

size_t fl_memory(void) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
#else
  return 0;
#endif
}

int fl_count(fl_runtime *r, void *session, size_t *inputs, size_t *outputs, fl_error *err) {
  return check(r, STATUS(r, SessionGetInputCount, ptr, size_t *)(session, inputs), err) ||
         check(r, STATUS(r, SessionGetOutputCount, ptr, size_t *)(session, outputs), err);
}

static int kind_of(fl_runtime *r, ptr type_info, int *kind, fl_error *err) {
  return check(r, STATUS(r, GetOnnxTypeFromTypeInfo, ptr, int *)(type_info, kind), err);
}

// tensor_info reads type and shape of a tensor; shape is borrowed from its type info.
static int tensor_info(fl_runtime *r, ptr shape, int *type, size_t *rank, int64_t *dims, fl_error *err) {
  if (check(r, STATUS(r, GetTensorElementType, ptr, int *)(shape, type), err) ||
      check(r, STATUS(r, GetDimensionsCount, ptr, size_t *)(shape, rank), err))
    return 1;
  if (*rank > FL_MAX_RANK) return fail(err, "a tensor has more than 32 dimensions");
  return check(r, STATUS(r, GetDimensions, ptr, int64_t *, size_t)(shape, dims, *rank), err);
}

static int map_info(fl_runtime *r, ptr type_info, fl_info *info, fl_error *err) {
  ptr map = NULL, value = NULL, shape = NULL;
  if (check(r, STATUS(r, CastTypeInfoToMapTypeInfo, ptr, ptr *)(type_info, &map), err) ||
      check(r, STATUS(r, GetMapKeyType, ptr, int *)(map, &info->key_type), err) ||
      check(r, STATUS(r, GetMapValueType, ptr, ptr *)(map, &value), err))
    return 1;
  int bad = check(r, STATUS(r, CastTypeInfoToTensorInfo, ptr, ptr *)(value, &shape), err);
  if (!bad && shape) bad = check(r, STATUS(r, GetTensorElementType, ptr, int *)(shape, &info->type), err);
  RELEASE(r, ReleaseTypeInfo, value);
  return bad;
}

static int element_info(fl_runtime *r, ptr type_info, fl_info *info, fl_error *err) {
  ptr shape = NULL;
  if (check(r, STATUS(r, CastTypeInfoToTensorInfo, ptr, ptr *)(type_info, &shape), err)) return 1;
  info->has_shape = CALL(r, TensorTypeAndShape_HasShape, bool (*)(ptr))(shape);
  return tensor_info(r, shape, &info->type, &info->rank, info->dims, err);
}

static int type_info_of(fl_runtime *r, ptr type_info, fl_info *info, fl_error *err) {
  ptr sequence = NULL, element = NULL;
  if (kind_of(r, type_info, &info->kind, err)) return 1;
  switch (info->kind) {
  case FL_TENSOR:
    return element_info(r, type_info, info, err);
  case FL_MAP:
    return map_info(r, type_info, info, err);
  case FL_SEQUENCE:
    if (check(r, STATUS(r, CastTypeInfoToSequenceTypeInfo, ptr, ptr *)(type_info, &sequence), err) ||
        check(r, STATUS(r, GetSequenceElementType, ptr, ptr *)(sequence, &element), err))
      return 1;
    int bad = kind_of(r, element, &info->element, err);
    if (!bad && info->element == FL_MAP) bad = map_info(r, element, info, err);
    if (!bad && info->element == FL_TENSOR) bad = element_info(r, element, info, err);
    RELEASE(r, ReleaseTypeInfo, element);
    return bad;
  }
  return 0;
}

int fl_describe(fl_runtime *r, void *session, int output, size_t i, fl_info *info, fl_error *err) {
  memset(info, 0, sizeof *info);
  char *name = NULL;
  ptr type_info = NULL;
  if (output
          ? check(r, STATUS(r, SessionGetOutputName, ptr, size_t, ptr, char **)(session, i, r->allocator, &name), err)
          : check(r, STATUS(r, SessionGetInputName, ptr, size_t, ptr, char **)(session, i, r->allocator, &name), err))
    return 1;
  info->name = strdup(name);
  if (check(r, STATUS(r, AllocatorFree, ptr, void *)(r->allocator, name), err)) {
    free(info->name);
    return 1;
  }
  int bad = output ? check(r, STATUS(r, SessionGetOutputTypeInfo, ptr, size_t, ptr *)(session, i, &type_info), err)
                   : check(r, STATUS(r, SessionGetInputTypeInfo, ptr, size_t, ptr *)(session, i, &type_info), err);
  if (!bad) bad = type_info_of(r, type_info, info, err);
  RELEASE(r, ReleaseTypeInfo, type_info);
  if (bad) {
    free(info->name);
    info->name = NULL;
  }
  return bad;
}

fl_state *fl_state_new(fl_runtime *r, size_t inputs, size_t outputs, fl_error *err) {
  // One block: the struct, then its arrays, the widest alignment first.
  fl_state *s = calloc(1, sizeof *s + inputs * sizeof(fl_input) + outputs * sizeof(fl_value) +
                              2 * (inputs + outputs) * sizeof(void *));
  if (!s) {
    fail(err, "out of memory");
    return NULL;
  }
  s->in = (fl_input *)(s + 1);
  s->out = (fl_value *)(s->in + inputs);
  s->in_names = (const char **)(s->out + outputs);
  s->out_names = s->in_names + inputs;
  s->values = (void **)(s->out_names + outputs);
  s->n_in = inputs;
  if (check(r, STATUS(r, CreateRunOptions, ptr *)(&s->options), err)) {
    free(s);
    return NULL;
  }
  return s;
}

void fl_state_free(fl_runtime *r, fl_state *s) {
  fl_drop(r, s);
  RELEASE(r, ReleaseRunOptions, s->options);
  free(s);
}

void fl_terminate(fl_runtime *r, fl_state *s) {
  fl_error ignored = {0};
  check(r, STATUS(r, RunOptionsSetTerminate, ptr)(s->options), &ignored);
  free(ignored.text);
}

void fl_unset_terminate(fl_runtime *r, fl_state *s) {
  fl_error ignored = {0};
  check(r, STATUS(r, RunOptionsUnsetTerminate, ptr)(s->options), &ignored);
  free(ignored.text);
}

static int make_value(fl_runtime *r, const fl_input *in, ptr *out, fl_error *err) {
  if (!in->offsets)
    return check(r, STATUS(r, CreateTensorWithDataAsOrtValue, ptr, void *, size_t, const int64_t *, size_t, int, ptr *)(
                        r->memory, (void *)in->data, in->bytes, in->dims, in->rank, in->type, out), err);
  if (check(r, STATUS(r, CreateTensorAsOrtValue, ptr, const int64_t *, size_t, int, ptr *)(
                   r->allocator, in->dims, in->rank, in->type, out), err))
    return 1;
  size_t n = 1;
  for (size_t i = 0; i < in->rank; i++) n *= (size_t)in->dims[i];
  for (size_t i = 0; i < n; i++) {
    size_t length = in->offsets[i + 1] - in->offsets[i];
    char *to = NULL;
    if (check(r, STATUS(r, GetResizedStringTensorElementBuffer, ptr, size_t, size_t, char **)(*out, i, length, &to),
              err))
      return 1;
    if (length) memcpy(to, (const char *)in->data + in->offsets[i], length);
  }
  return 0;
}

// read_value describes out->value.
static int read_value(fl_runtime *r, fl_value *out, fl_error *err) {
  if (!out->value) return fail(err, "an output has no value");
  out->data = NULL;
  if (check(r, STATUS(r, GetValueType, ptr, int *)(out->value, &out->kind), err)) return 1;
  if (out->kind != FL_TENSOR) return check(r, STATUS(r, GetValueCount, ptr, size_t *)(out->value, &out->count), err);
  if (check(r, STATUS(r, GetTensorElementTypeAndShapeDataReference, ptr, int *, const int64_t **, size_t *)(
                   out->value, &out->type, &out->dims, &out->rank), err))
    return 1;
  out->count = 1;
  for (size_t i = 0; i < out->rank; i++) out->count *= (size_t)out->dims[i];
  if (out->type == 8) // strings
    return check(r, STATUS(r, GetStringTensorDataLength, ptr, size_t *)(out->value, &out->bytes), err);
  return check(r, STATUS(r, GetTensorMutableData, ptr, void **)(out->value, &out->data), err);
}

void fl_drop(fl_runtime *r, fl_state *s) {
  for (size_t i = 0; i < s->left; i++) RELEASE(r, ReleaseValue, s->out[i].value);
  s->left = 0;
}

// compute runs once on the input values there are.
static int compute(fl_runtime *r, void *session, fl_state *s, size_t n_out) {
  ptr *results = s->values + s->n_in;
  memset(results, 0, n_out * sizeof(ptr));
  int bad = check(r, STATUS(r, Run, ptr, ptr, const char **, ptr *, size_t, const char **, size_t, ptr *)(
                         session, s->options, s->in_names, s->values, s->n_in, s->out_names, n_out, results),
                  &s->error);
  for (size_t i = 0; i < n_out && !bad; i++) {
    s->out[i].value = results[i];
    bad = read_value(r, &s->out[i], &s->error);
  }
  for (size_t i = 0; i < n_out && bad; i++) RELEASE(r, ReleaseValue, results[i]);
  if (!bad) s->left = n_out;
  return bad;
}

int fl_run_loop(fl_runtime *r, void *session, fl_state *s, size_t n_out, size_t n) {
  int bad = 0;
  fl_drop(r, s);
  memset(s->values, 0, s->n_in * sizeof(ptr));
  for (size_t i = 0; i < s->n_in && !bad; i++) bad = make_value(r, &s->in[i], &s->values[i], &s->error);
  for (size_t i = 0; i < n && !bad; i++) {
    fl_drop(r, s);
    bad = compute(r, session, s, n_out);
  }
  for (size_t i = 0; i < s->n_in; i++) RELEASE(r, ReleaseValue, s->values[i]);
  return bad;
}

int fl_run(fl_runtime *r, void *session, fl_state *s, size_t n_out) { return fl_run_loop(r, session, s, n_out, 1); }

void fl_release(fl_runtime *r, void *value) { RELEASE(r, ReleaseValue, value); }

int fl_strings(fl_runtime *r, void *value, void *bytes, size_t size, size_t *offsets, size_t n, fl_error *err) {
  return check(r, STATUS(r, GetStringTensorContent, ptr, void *, size_t, size_t *, size_t)(value, bytes, size, offsets,
                                                                                         n), err);
}

int fl_member(fl_runtime *r, void *value, int i, fl_value *out, fl_error *err) {
  memset(out, 0, sizeof *out);
  if (check(r, STATUS(r, GetValue, ptr, int, ptr, ptr *)(value, i, r->allocator, &out->value), err)) return 1;
  if (!read_value(r, out, err)) return 0;
  RELEASE(r, ReleaseValue, out->value);
  return 1;
}
