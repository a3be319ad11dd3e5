#include <urcu/urcu-signal.h>

#define FLAVOR signal
#include "body.h"
#include "reclaim.h"
#include "list.h"
#include "stack_rcu.h"
#include "lfq.h"
