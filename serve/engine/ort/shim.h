// The part of ONNX Runtime's C API that fairlead calls. OrtApi is a table of function pointers to which releases only
// append, so a position in it never changes its meaning; the positions below are those of API version 24, which every
// library from 1.24 on answers. TestPositions compares them with a header when one is at hand.
#ifndef FAIRLEAD_ORT_SHIM_H
#define FAIRLEAD_ORT_SHIM_H

#include <stddef.h>
#include <stdint.h>

#define FL_API_VERSION 24
#define FL_MAX_RANK 32

// Names and positions, in one list so that a test can read it.
#define FL_FUNCTIONS(F)                                                                                               \
  F(GetErrorCode, 1)                                                                                                  \
  F(GetErrorMessage, 2)                                                                                               \
  F(CreateEnv, 3)                                                                                                     \
  F(DisableTelemetryEvents, 6)                                                                                        \
  F(CreateSessionFromArray, 8)                                                                                        \
  F(Run, 9)                                                                                                           \
  F(CreateSessionOptions, 10)                                                                                         \
  F(SetSessionExecutionMode, 13)                                                                                      \
  F(DisableMemPattern, 17)                                                                                            \
  F(DisableCpuMemArena, 19)                                                                                           \
  F(SetSessionGraphOptimizationLevel, 23)                                                                             \
  F(SetIntraOpNumThreads, 24)                                                                                         \
  F(SetInterOpNumThreads, 25)                                                                                         \
  F(SessionGetInputCount, 30)                                                                                         \
  F(SessionGetOutputCount, 31)                                                                                        \
  F(SessionGetInputTypeInfo, 33)                                                                                      \
  F(SessionGetOutputTypeInfo, 34)                                                                                     \
  F(SessionGetInputName, 36)                                                                                          \
  F(SessionGetOutputName, 37)                                                                                         \
  F(CreateRunOptions, 39)                                                                                             \
  F(RunOptionsSetTerminate, 46)                                                                                       \
  F(RunOptionsUnsetTerminate, 47)                                                                                     \
  F(CreateTensorAsOrtValue, 48)                                                                                       \
  F(CreateTensorWithDataAsOrtValue, 49)                                                                               \
  F(GetTensorMutableData, 51)                                                                                         \
  F(GetStringTensorDataLength, 53)                                                                                    \
  F(GetStringTensorContent, 54)                                                                                       \
  F(CastTypeInfoToTensorInfo, 55)                                                                                     \
  F(GetOnnxTypeFromTypeInfo, 56)                                                                                      \
  F(GetTensorElementType, 60)                                                                                         \
  F(GetDimensionsCount, 61)                                                                                           \
  F(GetDimensions, 62)                                                                                                \
  F(GetValueType, 67)                                                                                                 \
  F(CreateCpuMemoryInfo, 69)                                                                                          \
  F(AllocatorFree, 76)                                                                                                \
  F(GetAllocatorWithDefaultOptions, 78)                                                                               \
  F(GetValue, 80)                                                                                                     \
  F(GetValueCount, 81)                                                                                                \
  F(ReleaseEnv, 92)                                                                                                   \
  F(ReleaseStatus, 93)                                                                                                \
  F(ReleaseMemoryInfo, 94)                                                                                            \
  F(ReleaseSession, 95)                                                                                               \
  F(ReleaseValue, 96)                                                                                                 \
  F(ReleaseRunOptions, 97)                                                                                            \
  F(ReleaseTypeInfo, 98)                                                                                              \
  F(ReleaseSessionOptions, 100)                                                                                       \
  F(CastTypeInfoToMapTypeInfo, 103)                                                                                   \
  F(CastTypeInfoToSequenceTypeInfo, 104)                                                                              \
  F(GetMapKeyType, 105)                                                                                               \
  F(GetMapValueType, 106)                                                                                             \
  F(GetSequenceElementType, 107)                                                                                      \
  F(AddSessionConfigEntry, 130)                                                                                       \
  F(GetResizedStringTensorElementBuffer, 252)                                                                         \
  F(TensorTypeAndShape_HasShape, 390)                                                                                 \
  F(GetTensorElementTypeAndShapeDataReference, 414)

// Kinds of values (ONNXType).
enum { FL_UNKNOWN = 0, FL_TENSOR = 1, FL_SEQUENCE = 2, FL_MAP = 3, FL_OPAQUE = 4, FL_SPARSE = 5, FL_OPTIONAL = 6 };

typedef struct fl_runtime fl_runtime;
typedef struct fl_error {
  int code; // OrtErrorCode, or -1 for an error of the shim itself
  char *text; // to be freed with free
} fl_error;

// What the graph says about one input or output.
typedef struct fl_info {
  char *name; // to be freed with free
  int kind;
  int type;     // element type of a tensor, of a sequence's tensors; of the values of a map
  int key_type; // of a map or of a sequence of maps
  int element;  // kind of a sequence's elements
  int has_shape;
  size_t rank;
  int64_t dims[FL_MAX_RANK];
} fl_info;

// A tensor going in. A numeric one is used in place: data stays the caller's and must not move until fl_run returns.
// A string one has its bytes end to end in data and n + 1 offsets.
typedef struct fl_input {
  const void *data;
  size_t bytes;
  const uint64_t *offsets;
  int64_t dims[FL_MAX_RANK];
  size_t rank;
  int type;
} fl_input;

// A value coming out. data and dims point into the value and live as long as it does; data is NULL for strings.
typedef struct fl_value {
  void *value;
  int kind;
  int type;
  size_t rank;
  const int64_t *dims;
  size_t count; // elements of a tensor, members of a sequence or map
  size_t bytes; // of all strings together
  void *data;
} fl_value;

// What one run needs, kept from run to run of one session. It is used by one thread at a time, but for options, which
// another may terminate.
typedef struct fl_state {
  void *options;
  const char **in_names; // of all inputs; the caller fills it once
  const char **out_names;
  fl_input *in;
  fl_value *out;
  void **values; // scratch of fl_run
  size_t n_in;
  size_t left; // values in out that are not released yet
  fl_error error;
} fl_state;

// All functions that give int return 0 on success and 1 with the error filled in otherwise.
int fl_open(const char *library, fl_runtime **out, char *version, size_t version_size, fl_error *err);
void fl_close(fl_runtime *r);
// fl_load makes a session whose runs use that many threads, the caller's included.
int fl_load(fl_runtime *r, const void *onnx, size_t size, int threads, void **session, fl_error *err);
// fl_unload frees the session and gives what the heap can spare back to the system.
void fl_unload(fl_runtime *r, void *session);
// fl_memory is the bytes of C's heap in use, 0 where that is not known.
size_t fl_memory(void);
int fl_count(fl_runtime *r, void *session, size_t *inputs, size_t *outputs, fl_error *err);
int fl_describe(fl_runtime *r, void *session, int output, size_t i, fl_info *info, fl_error *err);
fl_state *fl_state_new(fl_runtime *r, size_t inputs, size_t outputs, fl_error *err);
void fl_state_free(fl_runtime *r, fl_state *s);
void fl_terminate(fl_runtime *r, fl_state *s);
void fl_unset_terminate(fl_runtime *r, fl_state *s);
// fl_run computes the first n_out of out_names. The values stay in out until the next fl_run or fl_drop; on an error
// there are none.
int fl_run(fl_runtime *r, void *session, fl_state *s, size_t n_out);
void fl_drop(fl_runtime *r, fl_state *s);
// fl_run_loop does what fl_run does n times, with the input values made once: the bare loop that benchmarks compare with.
int fl_run_loop(fl_runtime *r, void *session, fl_state *s, size_t n_out, size_t n);
void fl_release(fl_runtime *r, void *value);
int fl_strings(fl_runtime *r, void *value, void *bytes, size_t size, size_t *offsets, size_t n, fl_error *err);
// fl_member is member i of a sequence; of a map 0 gives the keys and 1 the values. The caller releases it.
int fl_member(fl_runtime *r, void *value, int i, fl_value *out, fl_error *err);

#endif
