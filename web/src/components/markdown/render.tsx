import { useLingui } from "@lingui/react/macro";
import type { AlignType, List, ListItem, Nodes, Root, RootContent, Table } from "mdast";
import { Fragment, type ReactNode } from "react";
import { Fence } from "./code";
import { safeLink } from "./parse";

/* From a Markdown tree to React elements. Raw HTML is shown as the text that it is; nothing is
 * loaded from elsewhere. */

type Surroundings = {
  links: ReadonlyMap<string, string>;
  /* The greatest heading of the whole text, 1 to 6. */
  top: number;
};

function linksOf(root: Root): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const node of root.children) {
    if (node.type === "definition" && !found.has(node.identifier)) {
      found.set(node.identifier, node.url);
    }
  }
  return found;
}

function Anchor({ url, children }: { url: string; children: ReactNode }) {
  const href = safeLink(url);
  if (href === null) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

/* An image that loads by itself could carry the conversation away in its address. */
function ImageLink({ url, alt }: { url: string; alt: string }) {
  const { t } = useLingui();
  return (
    <Anchor url={url}>
      {t`Image:`} {alt || url}
    </Anchor>
  );
}

function TableView({ node, cellOf }: { node: Table; cellOf: (nodes: RootContent[]) => ReactNode }) {
  const { t } = useLingui();
  const [head, ...body] = node.children;
  const align = (column: number): AlignType => node.align?.[column] ?? null;
  return (
    <div className="md-table" tabIndex={0} role="group" aria-label={t`Table`}>
      <table>
        <thead>
          <tr>
            {head?.children.map((cell, column) => (
              <th key={column} scope="col" style={{ textAlign: align(column) ?? undefined }}>
                {cellOf(cell.children)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {body.map((row, index) => (
            <tr key={index}>
              {row.children.map((cell, column) => (
                <td key={column} style={{ textAlign: align(column) ?? undefined }}>
                  {cellOf(cell.children)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/* Headings begin below those of the page, and at the same one whatever the text begins with. */
const headings = ["h3", "h4", "h5", "h6"] as const;

function drawItem(item: ListItem, tight: boolean, around: Surroundings): ReactNode {
  return item.children.map((child, index) => (
    <Fragment key={index}>
      {index === 0 && typeof item.checked === "boolean" && (
        <span aria-hidden="true">{item.checked ? "☑ " : "☐ "}</span>
      )}
      {tight && child.type === "paragraph" ? drawAll(child.children, around) : draw(child, around)}
    </Fragment>
  ));
}

function drawList(node: List, around: Surroundings): ReactNode {
  const tight = !node.spread && node.children.every((item) => !item.spread);
  const tasks = node.children.some((item) => typeof item.checked === "boolean");
  const items = node.children.map((item, index) => (
    <li key={index}>{drawItem(item, tight, around)}</li>
  ));
  if (node.ordered) return <ol start={node.start ?? 1}>{items}</ol>;
  return <ul className={tasks ? "md-tasks" : undefined}>{items}</ul>;
}

function drawAll(nodes: readonly Nodes[], around: Surroundings): ReactNode {
  return nodes.map((node, index) => <Fragment key={index}>{draw(node, around)}</Fragment>);
}

function draw(node: Nodes, around: Surroundings): ReactNode {
  switch (node.type) {
    case "text":
      return node.value;
    case "paragraph":
      return <p>{drawAll(node.children, around)}</p>;
    case "strong":
      return <strong>{drawAll(node.children, around)}</strong>;
    case "emphasis":
      return <em>{drawAll(node.children, around)}</em>;
    case "delete":
      return <del>{drawAll(node.children, around)}</del>;
    case "inlineCode":
      return <code>{node.value}</code>;
    case "code":
      return <Fence lang={node.lang ?? ""} code={node.value} closed />;
    case "heading": {
      const Heading = headings[Math.max(0, node.depth - around.top)] ?? "h6";
      return <Heading>{drawAll(node.children, around)}</Heading>;
    }
    case "list":
      return drawList(node, around);
    case "blockquote":
      return <blockquote>{drawAll(node.children, around)}</blockquote>;
    case "thematicBreak":
      return <hr />;
    case "break":
      return <br />;
    case "link":
      return <Anchor url={node.url}>{drawAll(node.children, around)}</Anchor>;
    case "linkReference":
      return (
        <Anchor url={around.links.get(node.identifier) ?? ""}>
          {drawAll(node.children, around)}
        </Anchor>
      );
    case "image":
      return <ImageLink url={node.url} alt={node.alt ?? ""} />;
    case "imageReference":
      return <ImageLink url={around.links.get(node.identifier) ?? ""} alt={node.alt ?? ""} />;
    case "table":
      return <TableView node={node} cellOf={(nodes) => drawAll(nodes, around)} />;
    case "html":
      return node.value;
    default:
      return null;
  }
}

export function drawTree(root: Root, top = 1): ReactNode {
  return drawAll(root.children, { links: linksOf(root), top });
}
