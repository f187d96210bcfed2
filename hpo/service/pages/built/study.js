import{F as m}from"./chunk-EG5VJDG3.js";m();
