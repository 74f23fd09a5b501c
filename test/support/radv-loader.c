// A Vulkan loader of one driver, Mesa's RADV on its null device (RADV_FORCE_FAMILY), which compiles shaders and has no GPU. The null
// device has no command buffers; Dawn begins one when it opens a device, so that and submissions succeed here without the driver.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*Lookup)(void *, const char *);

static Lookup driver, of_driver_device;

static int succeed(void) { return 0; }

static Function of_device(void *device, const char *name) {
  static const char *skipped[] = {"vkBeginCommandBuffer", "vkEndCommandBuffer", "vkQueueSubmit", "vkQueueWaitIdle"};
  for (unsigned i = 0; i < sizeof skipped / sizeof *skipped; i++) {
    if (strcmp(name, skipped[i]) == 0) return (Function)succeed;
  }
  return of_driver_device(device, name);
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (!driver) {
    void *library = dlopen(getenv("OCELLUS_RADV_LIBRARY"), RTLD_NOW);
    if (!library) return NULL;
    driver = (Lookup)dlsym(library, "vk_icdGetInstanceProcAddr");
  }
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)vkGetInstanceProcAddr;
  Function found = driver(instance, name);
  if (!instance || strcmp(name, "vkGetDeviceProcAddr") != 0) return found;
  of_driver_device = (Lookup)found;
  return (Function)of_device;
}
