import { useLingui } from "@lingui/react/macro";
import { Monitor, Moon, Sun } from "lucide-react";
import { Card } from "@/components/page";
import { Segmented } from "@/components/ui/segmented";
import { useTheme, type Theme } from "@/design/theme";

export function Appearance() {
  const { t } = useLingui();
  const { theme, setTheme } = useTheme();
  return (
    <Card title={t`Theme`} description={t`Kept in this browser.`}>
      <Segmented<Theme>
        label={t`Theme`}
        value={theme}
        onChange={setTheme}
        options={[
          { value: "system", label: t`System`, icon: Monitor },
          { value: "light", label: t`Light`, icon: Sun },
          { value: "dark", label: t`Dark`, icon: Moon },
        ]}
      />
    </Card>
  );
}
