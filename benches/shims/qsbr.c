#include <urcu/urcu-qsbr.h>

#define FLAVOR qsbr
#include "body.h"
#include "reclaim.h"
#include "list.h"
#include "stack_rcu.h"
#include "lfq.h"
