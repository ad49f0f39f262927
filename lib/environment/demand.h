/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DEMAND_H
#define VENV_ENVIRONMENT_DEMAND_H

/* What a definition asks of the node it runs on, besides vCPUs and memory. For this folder's own files. */

#include "environment/definition.h"

typedef enum venv_definition_spread { VENV_SPREAD_NONE = 0, VENV_SPREAD_NODE, VENV_SPREAD_ZONE } venv_definition_spread;
static inline size_t demand_zone_count(const venv_environment *e) { (void)e; return 0; }
static inline const char *demand_zone(const venv_environment *e, size_t i) { (void)e; (void)i; return NULL; }
static inline bool demand_pinned(const venv_environment *e) { (void)e; return false; }
static inline venv_definition_spread demand_spread(const venv_environment *e) { (void)e; return VENV_SPREAD_NONE; }
static inline size_t demand_affinity_count(const venv_environment *e) { (void)e; return 0; }
static inline const char *demand_affinity(const venv_environment *e, size_t i) { (void)e; (void)i; return NULL; }
static inline size_t demand_anti_affinity_count(const venv_environment *e) { (void)e; return 0; }
static inline const char *demand_anti_affinity(const venv_environment *e, size_t i) { (void)e; (void)i; return NULL; }

#endif
