#pragma once

#include "query/functions/window.h"

namespace tarsier::query {

// What happened between the samples of a window: extrapolated rates, last steps, resets, changes.
// A window's cost is constant, plus one addition per counter reset inside it.

void rate_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void increase_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void delta_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void irate_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void idelta_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void resets_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void changes_kernel(const Column&, const Windows&, const KernelArguments&, double* out);

}  // namespace tarsier::query
