#include <urcu/urcu-bp.h>

#define FLAVOR bp
#include "body.h"
#include "reclaim.h"
#include "list.h"
#include "stack_rcu.h"
#include "lfq.h"
