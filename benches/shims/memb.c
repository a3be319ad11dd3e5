#include <urcu/urcu-memb.h>

#define FLAVOR memb
#include "body.h"
#include "reclaim.h"
#include "list.h"
#include "stack_rcu.h"
#include "lfq.h"
