/* The structures of the DLPack exchange format (version 0, capsule name "dltensor"), which
 * TensorFlow, PyTorch, JAX, CuPy and NumPy read, and tensors with a deleter in plain C: frameworks
 * may call it from any thread. Layout: dmlc.github.io/dlpack, "C API". */
#ifndef FASTFEED_DLPACK_H
#define FASTFEED_DLPACK_H

#include <stdint.h>

enum { DLPACK_CPU = 1, DLPACK_CUDA = 2 };
enum { DLPACK_INT, DLPACK_UINT, DLPACK_FLOAT, DLPACK_BFLOAT = 4, DLPACK_COMPLEX, DLPACK_BOOL };

typedef struct {
  int32_t device_type;
  int32_t device_id;
} DLDevice;

typedef struct {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} DLDataType;

typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides;
  uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

/* Whom a tensor keeps: release(owner, part) is called when it goes. */
typedef struct {
  void (*release)(void *owner, uint32_t part);
  void *owner;
  uint32_t part;
} ff_user;

/* A tensor over `data`, which is a user from now on: the caller counts it. NULL: no memory. */
DLManagedTensor *ff_dlpack_new(void *data, DLDevice device, DLDataType dtype, int32_t ndim,
                               const int64_t *shape, ff_user user);

#endif
