#include <urcu/urcu-mb.h>

#define FLAVOR mb
#include "body.h"
#include "reclaim.h"
#include "lfq.h"
