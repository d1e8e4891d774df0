// What the parts of the emulated device share.
#pragma once
#include "kernels.h"

// Does work in the order of the one stream: now, or at each replay where a graph is being recorded.
void submit(const Bound &work);
