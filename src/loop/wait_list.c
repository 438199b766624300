#include "fiber.h"
#include "loop_internal.h"

static void node_remove(struct wait_list *list, struct wait_list_node *node);

bool wait_list_wait(struct wait_list *list, int64_t deadline_us, struct status *st)
{
    struct fiber *self = fiber_current();
    WEIR_ASSERT(self != NULL);
    struct wait_list_node *node = &self->list_node;
    *node = (struct wait_list_node){.fiber = self, .before = list->last};
    if (list->last != NULL)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
    bool ok = true;
    while (!node->woken && ok)
        ok = fiber_wait(deadline_us, st);
    if (!node->woken)
        node_remove(list, node);
    return node->woken; /* who was woken must say so, or the wake would be lost to the others */
}

bool wait_list_wake_one(struct wait_list *list)
{
    struct wait_list_node *node = list->first;
    if (node == NULL)
        return false;
    node_remove(list, node);
    node->woken = true;
    fiber_wake(node->fiber);
    return true;
}

void wait_list_wake_all(struct wait_list *list)
{
    while (wait_list_wake_one(list))
        continue;
}

static void node_remove(struct wait_list *list, struct wait_list_node *node)
{
    if (node->before != NULL)
        node->before->next = node->next;
    else
        list->first = node->next;
    if (node->next != NULL)
        node->next->before = node->before;
    else
        list->last = node->before;
}
