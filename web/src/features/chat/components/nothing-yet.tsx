import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Trans, useLingui } from "@lingui/react/macro";
import { Code, Lightbulb, ListChecks, PenLine } from "lucide-react";
import type { ReactNode } from "react";
import type { Model } from "@/api/client";
import type { ApiError } from "@/api/errors";
import { chats } from "@/api/models";
import { meQuery } from "@/api/queries";
import { ErrorCard, ErrorLine } from "@/components/error-card";
import { Mark } from "@/components/logo";

type NothingYetProps = {
  composer: ReactNode;
  refused: ApiError | null;
  models: readonly Model[] | undefined;
  modelsError: ApiError | null;
  onRetry: () => void;
  onSuggest: (text: string) => void;
};

function NoModel({ owner }: { owner: boolean }) {
  return (
    <p className="rounded-large border border-line bg-raised px-4 py-3 text-soft">
      {owner ? (
        <Trans>
          No model is set up yet.{" "}
          <Link to="/admin/models" className="font-medium text-accent underline underline-offset-3">
            Add one
          </Link>{" "}
          to start chatting.
        </Trans>
      ) : (
        <Trans>No model is set up yet. Ask the owner of your organisation to add one.</Trans>
      )}
    </p>
  );
}

export function NothingYet(props: NothingYetProps) {
  const { t } = useLingui();
  const me = useQuery(meQuery);
  const first = me.data?.user.name.trim().split(/\s+/)[0] ?? "";
  const suggestions = [
    {
      icon: Lightbulb,
      title: t`Explain`,
      text: t`Explain how a hash table works, with a small example.`,
    },
    {
      icon: PenLine,
      title: t`Write`,
      text: t`Write a short, friendly email that moves our meeting to Thursday.`,
    },
    {
      icon: Code,
      title: t`Code`,
      text: t`Write a Python function that checks whether a text is a palindrome.`,
    },
    {
      icon: ListChecks,
      title: t`Plan`,
      text: t`Make a checklist for moving a small website to a new server.`,
    },
  ];
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <div className="mx-auto flex min-h-full w-full max-w-184 flex-col justify-center gap-6 px-4 pb-[12vh]">
        <div className="flex flex-col items-center gap-4 text-center">
          <Mark className="size-11" />
          <h2 className="text-hero font-semibold tracking-tight">
            {first ? t`What shall we work on, ${first}?` : t`What shall we work on?`}
          </h2>
        </div>
        {props.modelsError && !props.models && (
          <ErrorCard
            error={props.modelsError}
            title={t`The models could not be loaded`}
            onRetry={props.onRetry}
          />
        )}
        {props.models?.every((model) => !chats(model)) && (
          <NoModel owner={me.data?.organisation.role === "owner"} />
        )}
        {props.refused && <ErrorLine error={props.refused} />}
        {props.composer}
        <ul className="grid grid-cols-1 gap-2 sm:grid-cols-2">
          {suggestions.map(({ icon: Icon, title, text }) => (
            <li key={title}>
              <button
                type="button"
                onClick={() => props.onSuggest(text)}
                className="flex size-full items-start gap-3 rounded-large border border-line px-3.5 py-3 text-left transition-colors duration-100 hover:bg-hover"
              >
                <Icon className="mt-0.5 size-4 shrink-0 text-accent" aria-hidden="true" />
                <span>
                  <span className="block font-medium">{title}</span>
                  <span className="block text-soft">{text}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
