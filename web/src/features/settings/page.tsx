import { Link, useParams } from "@tanstack/react-router";
import { useLingui } from "@lingui/react/macro";
import { Page } from "@/components/page";
import { Appearance } from "./appearance";
import { Profile } from "./profile";
import { Security } from "./security";
import "./messages";

export function SettingsPage() {
  const { t } = useLingui();
  const { section } = useParams({ strict: false });
  const sections = [
    { id: "profile", label: t`Profile` },
    { id: "security", label: t`Security` },
    { id: "appearance", label: t`Appearance` },
  ];
  return (
    <Page title={t`Settings`} narrow>
      <nav aria-label={t`Settings`} className="-mt-2 flex gap-5 border-b border-line">
        {sections.map(({ id, label }) => (
          <Link
            key={id}
            to="/settings/$section"
            params={{ section: id }}
            className="-mb-px border-b-2 border-transparent pb-2.5 font-medium text-soft hover:text-ink aria-[current=page]:border-accent aria-[current=page]:text-ink"
          >
            {label}
          </Link>
        ))}
      </nav>
      {section === "security" ? (
        <Security />
      ) : section === "appearance" ? (
        <Appearance />
      ) : (
        <Profile />
      )}
    </Page>
  );
}
