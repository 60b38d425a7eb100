#include "dlpack.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  DLManagedTensor managed;
  ff_user user;
  int64_t shape[];
} kept_tensor;

static void delete_tensor(DLManagedTensor *managed) {
  kept_tensor *tensor = managed->manager_ctx;
  tensor->user.release(tensor->user.owner, tensor->user.part);
  free(tensor);
}

DLManagedTensor *ff_dlpack_new(void *data, DLDevice device, DLDataType dtype, int32_t ndim,
                               const int64_t *shape, ff_user user) {
  kept_tensor *tensor = malloc(sizeof *tensor + (size_t)ndim * sizeof *shape);
  if (!tensor) return NULL;
  memcpy(tensor->shape, shape, (size_t)ndim * sizeof *shape);
  tensor->user = user;
  tensor->managed = (DLManagedTensor){
      .dl_tensor = {.data = data,
                    .device = device,
                    .ndim = ndim,
                    .dtype = dtype,
                    .shape = tensor->shape},
      .manager_ctx = tensor,
      .deleter = delete_tensor,
  };
  return &tensor->managed;
}
