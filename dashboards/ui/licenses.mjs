// dist/third-party-licenses.txt: what the licences of the packages inside the UI ask for.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const directories = execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], { encoding: "utf8" })
  .split("\n")
  .filter((path) => path.includes("node_modules"));

const texts = directories.sort().map((directory) => {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const file = readdirSync(directory).find((one) => /^licen[cs]e/i.test(one));
  const text = file && existsSync(join(directory, file)) ? readFileSync(join(directory, file), "utf8").trim() : "";
  return `${name} ${version} (${license})\n\n${text}\n`;
});

writeFileSync("dist/third-party-licenses.txt", texts.join(`\n${"-".repeat(80)}\n\n`));
