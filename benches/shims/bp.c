#include <urcu/urcu-bp.h>

#define FLAVOR bp
#include "body.h"
#include "reclaim.h"
#include "lfq.h"
