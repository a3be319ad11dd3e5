#include <urcu/urcu-mb.h>

#define FLAVOR mb
#include "body.h"
#include "reclaim.h"
#include "list.h"
#include "stack_rcu.h"
#include "lfq.h"
