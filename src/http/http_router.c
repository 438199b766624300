/* A tree of path segments. Below a node stand its literal segments, then a parameter, then the one
 * that takes all that follows; they are tried in this order, until a row has the method. */
#include "http_router.h"

#include <string.h>
#include "arena.h"
#include "http_url.h"

enum node_kind { NODE_LITERAL, NODE_PARAM, NODE_REST };

struct leaf {
    const struct http_route *route;
    struct leaf *next;
};

struct node {
    enum node_kind kind;
    struct text literal;
    struct node *child, *next; /* the first below; the next beside, in order of kind */
    struct leaf *leaves;       /* the rows whose path ends here */
};

struct http_router {
    struct arena *arena; /* holds all of it */
    struct node root;
};

/* A search in progress. */
struct search {
    struct http_request *req;
    struct text method;
    const struct http_route *found;
    struct text params[HTTP_PARAMS_MAX];
    struct text_buf allow;
    bool allow_get, any; /* any: the path exists */
};

static void add_route(struct http_router *router, const struct http_route *route);
static struct node *child_for(struct http_router *router, struct node *parent, struct text segment);
static enum node_kind kind_of(struct text segment);
static bool descend(struct search *search, const struct node *node, struct text rest,
                    size_t params_count);
static bool try_leaves(struct search *search, const struct node *node);

struct http_router *http_router_new(const struct http_route *routes, size_t count)
{
    struct arena *arena = arena_open(MIB);
    struct http_router *router = ARENA_NEW(arena, struct http_router);
    router->arena = arena;
    for (size_t i = 0; i < count; i++)
        add_route(router, &routes[i]);
    return router;
}

void http_router_free(struct http_router *router)
{
    if (router != NULL)
        arena_close(router->arena);
}

enum http_router_result http_router_find(const struct http_router *router, struct http_request *req,
                                         struct text *allow)
{
    struct search search = {.req = req, .method = req->is_head ? TEXT("GET") : req->method};
    search.allow = text_buf_in(req->arena, 256);
    *allow = TEXT_NONE;
    if (req->path_raw.len == 0 || req->path_raw.at[0] != '/')
        return HTTP_ROUTER_NO_PATH;
    if (descend(&search, &router->root, text_skip(req->path_raw, 1), 0)) {
        req->route = search.found;
        memcpy(req->params, search.params, sizeof(req->params));
        return HTTP_ROUTER_FOUND;
    }
    if (!search.any)
        return HTTP_ROUTER_NO_PATH;
    if (search.allow_get)
        text_buf_add(&search.allow, TEXT("HEAD, "));
    text_buf_add(&search.allow, TEXT("OPTIONS"));
    *allow = text_buf_text(&search.allow);
    return HTTP_ROUTER_NO_METHOD;
}

struct text http_request_param(const struct http_request *req, const char *name)
{
    struct text rest = text_of(req->route->path), segment, want = text_of(name);
    size_t at = 0;
    while (text_split(&rest, '/', &segment)) {
        if (kind_of(segment) == NODE_LITERAL)
            continue;
        if (text_equal(text_take(text_skip(segment, 1), segment.len - 2), want))
            return req->params[at];
        at++;
    }
    bool route_has_param = false;
    WEIR_ASSERT(route_has_param);
    return TEXT_NONE;
}

static void add_route(struct http_router *router, const struct http_route *route)
{
    struct node *node = &router->root;
    struct text rest = text_of(route->path), segment;
    size_t params_count = 0;
    WEIR_ASSERT(rest.len > 0 && rest.at[0] == '/');
    rest = text_skip(rest, 1);
    while (text_split(&rest, '/', &segment)) {
        WEIR_ASSERT(node->kind != NODE_REST); /* nothing follows what takes all */
        params_count += kind_of(segment) != NODE_LITERAL;
        node = child_for(router, node, segment);
    }
    WEIR_ASSERT(params_count <= HTTP_PARAMS_MAX);
    for (const struct leaf *leaf = node->leaves; leaf != NULL; leaf = leaf->next)
        WEIR_ASSERT(strcmp(leaf->route->method, route->method) != 0); /* one row for each */
    struct leaf *leaf = ARENA_NEW(router->arena, struct leaf);
    *leaf = (struct leaf){route, node->leaves};
    node->leaves = leaf;
}

static struct node *child_for(struct http_router *router, struct node *parent, struct text segment)
{
    enum node_kind kind = kind_of(segment);
    struct node **at = &parent->child;
    for (; *at != NULL && (*at)->kind <= kind; at = &(*at)->next) {
        if ((*at)->kind == kind && (kind != NODE_LITERAL || text_equal((*at)->literal, segment)))
            return *at;
    }
    struct node *node = ARENA_NEW(router->arena, struct node);
    *node = (struct node){.kind = kind, .literal = segment, .next = *at};
    *at = node;
    return node;
}

static enum node_kind kind_of(struct text segment)
{
    if (text_equal(segment, TEXT("{*}")))
        return NODE_REST;
    return segment.len > 2 && segment.at[0] == '{' ? NODE_PARAM : NODE_LITERAL;
}

/* `rest` is the raw path below `node`, without the slash before it; its `at` is NULL at the end.
 * Recursion goes as deep as the table's longest path. */
static bool descend(struct search *search, const struct node *node, struct text rest,
                    size_t params_count)
{
    struct text after = rest, raw, segment;
    struct status st;
    if (!text_split(&after, '/', &raw))
        return try_leaves(search, node);
    if (!http_url_decode(raw, false, search->req->arena, &segment, &st))
        return false;
    for (const struct node *child = node->child; child != NULL; child = child->next) {
        if (child->kind == NODE_LITERAL) {
            if (text_equal(child->literal, segment) && descend(search, child, after, params_count))
                return true;
        } else if (child->kind == NODE_PARAM) {
            search->params[params_count] = segment;
            if (segment.len > 0 && descend(search, child, after, params_count + 1))
                return true;
        } else if (http_url_decode(rest, false, search->req->arena, &search->params[params_count],
                                   &st) &&
                   try_leaves(search, child)) {
            return true;
        }
    }
    return false;
}

static bool try_leaves(struct search *search, const struct node *node)
{
    search->any |= node->leaves != NULL;
    for (const struct leaf *leaf = node->leaves; leaf != NULL; leaf = leaf->next) {
        struct text method = text_of(leaf->route->method);
        if (text_equal(method, search->method)) {
            search->found = leaf->route;
            return true;
        }
        if (text_equal(method, TEXT("OPTIONS")))
            continue; /* stands at the end in any case */
        search->allow_get |= text_equal(method, TEXT("GET"));
        text_buf_add(&search->allow, method);
        text_buf_add(&search->allow, TEXT(", "));
    }
    return false;
}
