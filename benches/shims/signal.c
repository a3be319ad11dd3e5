#include <urcu/urcu-signal.h>

#define FLAVOR signal
#include "body.h"
#include "reclaim.h"
#include "lfq.h"
