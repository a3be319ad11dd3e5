#include <urcu/urcu-memb.h>

#define FLAVOR memb
#include "body.h"
