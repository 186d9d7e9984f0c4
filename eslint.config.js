// What every module of the page is held to; `make check` runs it.

import js from "@eslint/js";
import globals from "globals";

// The page shows names, tags and captions of strangers: as text, never as markup.
const MARKUP =
  "innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc|setHTMLUnsafe" +
  "|parseHTMLUnsafe|createContextualFragment";
const AS_TEXT = "Text is set as text (textContent, or html`${text}`), never as markup.";

export default [
  { ignores: ["api/static/vendor/"] },
  js.configs.recommended,
  {
    files: ["api/static/**/*.js"],
    languageOptions: { globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "eqeqeq": ["error", "always"],
      "max-len": ["error", { code: 110, ignoreUrls: true, ignoreTemplateLiterals: true }],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        ...MARKUP.split("|").map((property) => ({ property, message: AS_TEXT })),
        { object: "document", property: "write", message: AS_TEXT },
      ],
      "no-restricted-syntax": [
        "error",
        // html`<p innerHTML=${text}>` and {dangerouslySetInnerHTML: ...}
        { selector: `TemplateElement[value.raw=/\\b(${MARKUP})\\b/]`, message: AS_TEXT },
        { selector: `Property[key.name=/^(${MARKUP})$/]`, message: AS_TEXT },
        { selector: `Property[key.value=/^(${MARKUP})$/]`, message: AS_TEXT },
        // `import x from "preact"`: there is no build that would find it.
        {
          selector:
            ":matches(ImportDeclaration, ExportAllDeclaration, ExportNamedDeclaration, " +
            "ImportExpression)[source.value=/^[^.]/]",
          message: "An import leads to a file of ours by a path: ./ or ../.",
        },
      ],
      "no-script-url": "error",
      "no-shadow": "error",
      "no-unused-vars": "error",
      "no-use-before-define": ["error", { functions: false }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
];
