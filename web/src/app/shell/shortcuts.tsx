import { useLingui } from "@lingui/react/macro";
import { Dialog } from "@/components/ui/dialog";
import { shortcutLabel } from "@/lib/platform";

function Keys({ keys }: { keys: readonly string[] }) {
  return (
    <span className="flex gap-1">
      {shortcutLabel(keys).map((key) => (
        <kbd
          key={key}
          className="grid h-6 min-w-6 place-items-center rounded-small border border-line bg-sunken px-1.5 font-sans text-caption text-soft"
        >
          {key}
        </kbd>
      ))}
    </span>
  );
}

export default function Shortcuts({ onClose }: { onClose: () => void }) {
  const { t } = useLingui();
  const groups = [
    {
      title: t`Everywhere`,
      items: [
        { keys: ["Mod", "K"], does: t`Search chats` },
        { keys: ["Mod", "Shift", "O"], does: t`New chat` },
        { keys: ["Mod", "B"], does: t`Show or hide the side bar` },
        { keys: ["g", "c"], does: t`Go to a new chat` },
        { keys: ["g", "k"], does: t`Go to API keys` },
        { keys: ["g", "m"], does: t`Go to models` },
        { keys: ["g", "s"], does: t`Go to settings` },
        { keys: ["Mod", "/"], does: t`This list` },
      ],
    },
    {
      title: t`In a chat`,
      items: [
        { keys: ["Enter"], does: t`Send` },
        { keys: ["Shift", "Enter"], does: t`New line` },
        { keys: ["Esc"], does: t`Stop the answer` },
        { keys: ["↑"], does: t`Edit your last message, when the box is empty` },
        { keys: ["Mod", "Shift", "C"], does: t`Copy the last answer` },
        { keys: ["/"], does: t`Go to the message box` },
      ],
    },
  ];
  return (
    <Dialog open onClose={onClose} title={t`Keyboard shortcuts`} width="wide">
      <div className="grid gap-x-10 gap-y-6 sm:grid-cols-2">
        {groups.map((group) => (
          <section key={group.title}>
            <h3 className="pb-1 font-semibold">{group.title}</h3>
            <dl>
              {group.items.map((entry) => (
                <div
                  key={entry.does}
                  className="flex min-h-10 items-center justify-between gap-4 border-b border-line py-1.5 last:border-0"
                >
                  <dt className="text-soft">{entry.does}</dt>
                  <dd>
                    <Keys keys={entry.keys} />
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
