/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DEMAND_H
#define VENV_ENVIRONMENT_DEMAND_H

/* What a definition asks of the node it runs on, besides vCPUs and memory. For this folder's own files. */

#include "environment/definition.h"

static inline size_t demand_zone_count(const venv_environment *e) { return e->is.zone.count; }
static inline const char *demand_zone(const venv_environment *e, size_t i) { return e->is.zone.items[i]; }
static inline bool demand_pinned(const venv_environment *e) { return e->is.pin != VENV_PIN_NO; }
static inline venv_definition_spread demand_spread(const venv_environment *e) { return e->is.spread; }
static inline size_t demand_affinity_count(const venv_environment *e) { return e->is.affinity.count; }
static inline const char *demand_affinity(const venv_environment *e, size_t i) { return e->is.affinity.items[i]; }
static inline size_t demand_anti_affinity_count(const venv_environment *e) { return e->is.anti_affinity.count; }
static inline const char *demand_anti_affinity(const venv_environment *e, size_t i) { return e->is.anti_affinity.items[i]; }

#endif
