import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { Cpu, Ellipsis, ListChecks, Pencil, Plug, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, unwrap, type Model, type Upstream } from "@/api/client";
import { toError } from "@/api/errors";
import { modelsQuery } from "@/api/queries";
import { EmptyState } from "@/components/empty-state";
import { Card, Page } from "@/components/page";
import { QueryView } from "@/components/query-view";
import { RenameDialog } from "@/components/rename-dialog";
import { Badge } from "@/components/ui/badge";
import { Button, IconButton } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { MenuButton, type MenuItem } from "@/components/ui/menu";
import { Skeleton } from "@/components/ui/skeleton";
import { Switch } from "@/components/ui/switch";
import { toast } from "@/components/ui/toast";
import { formatContext, formatMemory } from "@/lib/format";
import { modelDrop, modelPut, upstreamDrop, upstreamPut, upstreamsQuery } from "./api";
import { ModelDialog } from "./model-dialog";
import { ModelState } from "./model-state";
import { PurposeDialog } from "./tasks";
import { UpstreamDialog } from "./upstream-dialog";
import "./messages";

function Rows() {
  return (
    <div className="flex flex-col gap-4 p-5">
      <Skeleton className="h-10" />
      <Skeleton className="h-10 w-4/5" />
    </div>
  );
}

const row = "flex flex-wrap items-center gap-x-4 gap-y-2 border-t border-line px-5 py-3.5";

type ModelRowProps = {
  model: Model;
  upstream: Upstream | undefined;
  onRename: (model: Model) => void;
  onPurpose: (model: Model) => void;
  onRemove: (model: Model) => void;
};

function ModelRow({ model, upstream, onRename, onPurpose, onRemove }: ModelRowProps) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);

  async function change(body: { enabled: boolean } | { pinned: boolean }) {
    setBusy(true);
    try {
      const next = await unwrap(
        api.PATCH("/api/models/{id}", { params: { path: { id: model.id } }, body }),
      );
      modelPut(client, next);
    } catch (failure) {
      toast.problem(t`“${model.name}” could not be changed`, { detail: toError(failure).message });
    } finally {
      setBusy(false);
    }
  }

  const context = model.context_tokens === null ? null : formatContext(model.context_tokens);
  const memory = model.memory_bytes === null ? null : formatMemory(model.memory_bytes);
  const source = model.kind === "local" ? t`On this server` : (upstream?.name ?? t`Upstream`);
  return (
    <li className={row}>
      <div className="min-w-0 flex-1 basis-56 max-sm:basis-full">
        <p className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <span className="font-medium break-words">{model.name}</span>
          {model.managed && (
            <span title={t`Comes from the server’s configuration`}>
              <Badge>{t`Managed`}</Badge>
            </span>
          )}
        </p>
        <p className="text-caption break-words text-faint">
          <code className="font-mono">{model.id}</code> · {source}
          {context && <> · {t`${context} context`}</>}
          {model.tasks && !model.tasks.includes("chat") && <> · {model.tasks.join(", ")}</>}
          {memory && (
            <span title={t`What it takes of memory, or about what it would`}> · {memory}</span>
          )}
        </p>
        {model.state.phase === "failed" && model.state.reason && (
          <p className="mt-1 text-caption break-words text-danger">{model.state.reason}</p>
        )}
        {model.state.phase === "asleep" && model.state.reason && (
          <p className="mt-1 text-caption break-words text-warn">
            {t`No room: ${model.state.reason}`}
          </p>
        )}
        {model.kind === "local" && (
          <p className="mt-1.5 flex items-center gap-2 text-caption text-soft">
            <Switch
              label={t`Keep “${model.name}” loaded`}
              checked={model.pinned}
              disabled={busy}
              onChange={(pinned) => void change({ pinned })}
            />
            <span aria-hidden="true">{t`Keep loaded`}</span>
          </p>
        )}
      </div>
      <ModelState model={model} />
      <div className="flex items-center gap-2 max-sm:-mr-2 max-sm:ml-auto">
        <Switch
          label={t`Offer “${model.name}”`}
          checked={model.enabled}
          disabled={busy}
          onChange={(enabled) => void change({ enabled })}
        />
        <MenuButton
          label={t`Model “${model.name}”`}
          align="end"
          items={[
            {
              id: "rename",
              label: t`Rename`,
              icon: Pencil,
              disabled: model.managed,
              run: () => onRename(model),
            },
            {
              id: "purpose",
              label: t`What it is for`,
              icon: ListChecks,
              disabled: model.managed || model.kind === "local",
              note: model.kind === "local" ? t`It says so itself` : undefined,
              run: () => onPurpose(model),
            },
            {
              id: "remove",
              label: t`Remove`,
              icon: Trash2,
              danger: true,
              disabled: model.managed,
              run: () => onRemove(model),
            },
          ]}
        >
          {(trigger) => (
            <IconButton {...trigger} label={t`More for “${model.name}”`} size="small">
              <Ellipsis className="size-4" aria-hidden="true" />
            </IconButton>
          )}
        </MenuButton>
      </div>
    </li>
  );
}

type UpstreamRowProps = {
  upstream: Upstream;
  count: number;
  onAddModel: (upstream: Upstream) => void;
  onEdit: (upstream: Upstream) => void;
  onRemove: (upstream: Upstream) => void;
};

function UpstreamRow({ upstream, count, onAddModel, onEdit, onRemove }: UpstreamRowProps) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);

  async function enable(enabled: boolean) {
    setBusy(true);
    try {
      const next = await unwrap(
        api.PATCH("/api/upstreams/{id}", {
          params: { path: { id: upstream.id } },
          body: { enabled },
        }),
      );
      upstreamPut(client, next);
      void client.invalidateQueries({ queryKey: modelsQuery.queryKey });
    } catch (failure) {
      toast.problem(t`“${upstream.name}” could not be changed`, {
        detail: toError(failure).message,
      });
    } finally {
      setBusy(false);
    }
  }

  const items: MenuItem[] = [
    { id: "add", label: t`Add a model of it`, icon: Plus, run: () => onAddModel(upstream) },
    {
      id: "edit",
      label: t`Edit`,
      icon: Pencil,
      disabled: upstream.managed,
      run: () => onEdit(upstream),
    },
    {
      id: "remove",
      label: t`Remove`,
      icon: Trash2,
      danger: true,
      disabled: upstream.managed || count > 0,
      note: count > 0 ? t`Its models must go first` : undefined,
      run: () => onRemove(upstream),
    },
  ];
  return (
    <li className={row}>
      <div className="min-w-0 flex-1 basis-56 max-sm:basis-full">
        <p className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
          <span className="font-medium break-words">{upstream.name}</span>
          {upstream.managed && <Badge>{t`Managed`}</Badge>}
        </p>
        <p className="text-caption break-all text-faint">
          <code className="font-mono">{upstream.base_url}</code>
        </p>
      </div>
      <Badge tone={upstream.has_key ? "accent" : "neutral"}>
        {upstream.has_key ? t`With a key` : t`Without a key`}
      </Badge>
      <div className="flex items-center gap-2 max-sm:-mr-2 max-sm:ml-auto">
        <Switch
          label={t`Use “${upstream.name}”`}
          checked={upstream.enabled}
          disabled={busy}
          onChange={(enabled) => void enable(enabled)}
        />
        <MenuButton label={t`Upstream “${upstream.name}”`} align="end" items={items}>
          {(trigger) => (
            <IconButton {...trigger} label={t`More for “${upstream.name}”`} size="small">
              <Ellipsis className="size-4" aria-hidden="true" />
            </IconButton>
          )}
        </MenuButton>
      </div>
    </li>
  );
}

type Open =
  | { what: "model"; upstreamId: string | null }
  | { what: "upstream"; upstream: Upstream | null }
  | { what: "rename"; model: Model }
  | { what: "purpose"; model: Model }
  | { what: "remove-model"; model: Model }
  | { what: "remove-upstream"; upstream: Upstream };

export function ModelsPage() {
  const { t } = useLingui();
  const client = useQueryClient();
  const models = useQuery(modelsQuery);
  const upstreams = useQuery(upstreamsQuery);
  const [open, setOpen] = useState<Open | null>(null);
  const close = () => setOpen(null);

  const countOf = (id: string) =>
    models.data?.filter((model) => model.upstream_id === id).length ?? 0;

  return (
    <Page
      title={t`Models`}
      description={t`What your organisation can chat with, and call by its id over the API.`}
      action={
        <Button variant="primary" onClick={() => setOpen({ what: "model", upstreamId: null })}>
          <Plus className="size-4" aria-hidden="true" />
          {t`Add model`}
        </Button>
      }
    >
      <Card
        title={t`Models`}
        description={t`A model on this server sleeps when its memory is needed for another one, and is loaded when it is called. One that is kept loaded never makes room.`}
        flush
      >
        <QueryView
          query={models}
          errorTitle={t`The models could not be loaded`}
          skeleton={<Rows />}
          isEmpty={(list) => list.length === 0}
          empty={
            <EmptyState icon={Cpu} title={t`No models yet`}>
              <Trans>Add a GGUF file on this server, or a model of an upstream.</Trans>
            </EmptyState>
          }
        >
          {(list) => (
            <ul>
              {list.map((model) => (
                <ModelRow
                  key={model.id}
                  model={model}
                  upstream={upstreams.data?.find((item) => item.id === model.upstream_id)}
                  onRename={(item) => setOpen({ what: "rename", model: item })}
                  onPurpose={(item) => setOpen({ what: "purpose", model: item })}
                  onRemove={(item) => setOpen({ what: "remove-model", model: item })}
                />
              ))}
            </ul>
          )}
        </QueryView>
      </Card>

      <Card
        title={t`Upstreams`}
        description={t`Other servers that speak OpenAI’s dialect: vLLM, Ollama, a provider.`}
        flush
        action={
          <Button size="small" onClick={() => setOpen({ what: "upstream", upstream: null })}>
            <Plus className="size-3.5" aria-hidden="true" />
            {t`Add upstream`}
          </Button>
        }
      >
        <QueryView
          query={upstreams}
          errorTitle={t`The upstreams could not be loaded`}
          skeleton={<Rows />}
          isEmpty={(list) => list.length === 0}
          empty={
            <div className="border-t border-line">
              <EmptyState icon={Plug} title={t`No upstreams`}>
                <Trans>Models on this server need none.</Trans>
              </EmptyState>
            </div>
          }
        >
          {(list) => (
            <ul>
              {list.map((upstream) => (
                <UpstreamRow
                  key={upstream.id}
                  upstream={upstream}
                  count={countOf(upstream.id)}
                  onAddModel={(item) => setOpen({ what: "model", upstreamId: item.id })}
                  onEdit={(item) => setOpen({ what: "upstream", upstream: item })}
                  onRemove={(item) => setOpen({ what: "remove-upstream", upstream: item })}
                />
              ))}
            </ul>
          )}
        </QueryView>
      </Card>

      <ModelDialog
        open={open?.what === "model"}
        upstreamId={open?.what === "model" ? open.upstreamId : null}
        upstreams={upstreams.data ?? []}
        onClose={close}
        onAddUpstream={() => setOpen({ what: "upstream", upstream: null })}
      />
      <UpstreamDialog
        open={open?.what === "upstream"}
        upstream={open?.what === "upstream" ? open.upstream : null}
        onClose={close}
        onAdded={(upstream) => setOpen({ what: "model", upstreamId: upstream.id })}
      />
      <PurposeDialog model={open?.what === "purpose" ? open.model : null} onClose={close} />
      <RenameDialog
        open={open?.what === "rename"}
        title={t`Rename the model`}
        name={open?.what === "rename" ? open.model.name : ""}
        onClose={close}
        run={async (name) => {
          if (open?.what !== "rename") return;
          const next = await unwrap(
            api.PATCH("/api/models/{id}", {
              params: { path: { id: open.model.id } },
              body: { name },
            }),
          );
          modelPut(client, next);
        }}
      />
      <Confirm
        open={open?.what === "remove-model"}
        onClose={close}
        title={t`Remove this model?`}
        action={t`Remove`}
        run={async () => {
          if (open?.what !== "remove-model") return;
          const { id } = open.model;
          await unwrap(api.DELETE("/api/models/{id}", { params: { path: { id } } }));
          modelDrop(client, id);
          toast.ok(t`The model was removed`);
        }}
      >
        <p className="break-words">
          <Trans>
            Calls to “{open?.what === "remove-model" ? open.model.id : ""}” will be refused. Chats
            with it stay. A file on the server is not deleted.
          </Trans>
        </p>
      </Confirm>
      <Confirm
        open={open?.what === "remove-upstream"}
        onClose={close}
        title={t`Remove this upstream?`}
        action={t`Remove`}
        run={async () => {
          if (open?.what !== "remove-upstream") return;
          const { id } = open.upstream;
          await unwrap(api.DELETE("/api/upstreams/{id}", { params: { path: { id } } }));
          upstreamDrop(client, id);
          toast.ok(t`The upstream was removed`);
        }}
      >
        <p className="break-words">
          <Trans>
            “{open?.what === "remove-upstream" ? open.upstream.name : ""}” and its sealed key will
            be forgotten.
          </Trans>
        </p>
      </Confirm>
    </Page>
  );
}
