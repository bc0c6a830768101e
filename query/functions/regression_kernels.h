#pragma once

#include "query/functions/window.h"

namespace tarsier::query {

// Lines through the samples of a window: least squares and double exponential smoothing.

void deriv_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
/// `first` argument: how far ahead of the step to look, in seconds.
void predict_linear_kernel(const Column&, const Windows&, const KernelArguments&, double* out);
/// Arguments: smoothing and trend factor, both strictly between 0 and 1.
void double_exponential_smoothing_kernel(const Column&, const Windows&, const KernelArguments&,
                                         double* out);

}  // namespace tarsier::query
