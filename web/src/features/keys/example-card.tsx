import { useQuery } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { useState } from "react";
import { baseUrl } from "@/api/client";
import { chats } from "@/api/models";
import { modelsQuery } from "@/api/queries";
import { CodeBlock } from "@/components/code-block";
import { Segmented } from "@/components/ui/segmented";
import { example, type Language } from "./examples";

export function Example({ secret }: { secret: string | null }) {
  const { t } = useLingui();
  const [language, setLanguage] = useState<Language>("curl");
  const models = useQuery(modelsQuery);
  const model = models.data?.find(chats)?.id ?? "your-model";
  const text = example(language, { baseUrl, key: secret ?? "weir_sk_…", model });
  return (
    <div className="flex flex-col items-start gap-3">
      <Segmented
        label={t`Language`}
        value={language}
        onChange={setLanguage}
        options={[
          { value: "curl", label: "curl" },
          { value: "python", label: "Python" },
          { value: "javascript", label: "JavaScript" },
        ]}
      />
      <div className="w-full min-w-0">
        <CodeBlock title={`${baseUrl}/v1`} text={text} />
      </div>
    </div>
  );
}
