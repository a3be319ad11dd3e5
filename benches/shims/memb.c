#include <urcu/urcu-memb.h>

#define FLAVOR memb
#include "body.h"
#include "reclaim.h"
#include "lfq.h"
