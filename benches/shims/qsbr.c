#include <urcu/urcu-qsbr.h>

#define FLAVOR qsbr
#include "body.h"
#include "reclaim.h"
#include "lfq.h"
