#pragma once

#include "query/functions/window.h"

namespace tarsier::query {

// One value out of all samples of a window. first, last, count and present cost nothing; min and
// max keep a monotonic queue and quantile a sorted window, both amortised over the row. Sums walk
// each window: they are compensated in time order, and a sliding sum would not give the same bits.

void count_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void present_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void first_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void last_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void time_of_first_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void time_of_last_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void sum_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void avg_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void min_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void max_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void time_of_min_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void time_of_max_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void stdvar_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void stddev_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
/// `first` argument: φ.
void quantile_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
void mad_kernel(const Column&, const Windows&, const KernelArguments&, double* out);

}  // namespace tarsier::query
